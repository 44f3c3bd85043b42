package compat_test

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A large list is sorted outside the loop, where errors are made elsewhere.
func TestSortLarge(t *testing.T) {
	theirs := connect(t, startRedis(t, t.TempDir()), 2)
	ours := connect(t, startCairn(t, t.TempDir()), 2)
	for _, r := range []*redis.Client{theirs, ours} {
		pushMany(t, r, "text", 20_000)
		do(t, r, "SORT", "text", "BY", "nosort", "GET", "x", "STORE", "empty")
		pipe := r.Pipeline()
		for i := range 20_000 {
			pipe.RPush(t.Context(), "numbers", i*7919%20_000-10_000)
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range [][]any{
		{"SORT", "text", "ALPHA"}, {"SORT", "text", "ALPHA", "DESC", "LIMIT", 100, 50}, {"SORT", "text"}, {"SORT_RO", "text"},
		{"SORT", "text", "BY", "nosort", "DESC"}, {"SORT", "text", "BY", "w_*", "DESC", "GET", "#", "GET", "x"}, {"SORT", "empty"},
		{"SORT", "numbers"}, {"SORT", "numbers", "DESC"}, {"SORT_RO", "numbers", "LIMIT", 19_990, 100},
		{"SORT", "numbers", "DESC", "STORE", "sorted"}, {"LRANGE", "sorted", 0, -1}, {"LLEN", "empty"},
	} {
		want, wantErr := theirs.Do(t.Context(), command...).Result()
		got, err := ours.Do(t.Context(), command...).Result()
		if fmt.Sprint(wantErr) != fmt.Sprint(err) || fmt.Sprint(want) != fmt.Sprint(got) {
			t.Errorf("%v:\n%s (%v)\nRedis: %s (%v)", command, shorten(fmt.Sprint(got)), err, shorten(fmt.Sprint(want)), wantErr)
		}
	}
}
