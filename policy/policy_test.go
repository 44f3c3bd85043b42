package policy

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func words(text string) []string {
	list := strings.Fields(text)
	for i, w := range list {
		if w == `""` {
			list[i] = ""
		}
	}
	return list
}

func mustParse(t *testing.T, name, text string) *Policy {
	t.Helper()
	p, err := Parse(name, words(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, words string }{
		{"pattern jobs* maxlen 10", "PATTERN jobs* PRIORITY 0 MAXLEN 10"},
		{"MAXLEN 10 OVERFLOW block 50 PATTERN q PRIORITY -3", "PATTERN q PRIORITY -3 MAXLEN 10 OVERFLOW BLOCK 50"},
		{"PATTERN q OVERFLOW dropoldest MAXBYTES 5", "PATTERN q PRIORITY 0 MAXBYTES 5 OVERFLOW DROPOLDEST"},
		{"PATTERN s GROUP g? LEASE 1000 MAXDELIVERIES 3 DEADLETTER dead BACKOFF 10 1000", "PATTERN s GROUP g? PRIORITY 0 LEASE 1000 MAXDELIVERIES 3 DEADLETTER dead BACKOFF 10 1000"},
		{"PATTERN s POP confirmed TTL 5 RETENTION unacked CONSUMER-TTL 7", "PATTERN s PRIORITY 0 POP CONFIRMED TTL 5 RETENTION UNACKED CONSUMER-TTL 7"},
		{"PATTERN s MAXDELIVERIES 0", "PATTERN s PRIORITY 0 MAXDELIVERIES 0"},
	} {
		p := mustParse(t, "x", c.text)
		if got := strings.Join(p.Words(), " "); got != c.words {
			t.Errorf("%s: got %s, want %s", c.text, got, c.words)
		}
	}
	for _, c := range []struct{ text, reason string }{
		{"MAXLEN 10", "a policy needs PATTERN and a pattern of keys"},
		{"PATTERN q", "a policy needs at least one setting"},
		{`PATTERN "" MAXLEN 1`, "a pattern has 1 to 1024 bytes"},
		{"PATTERN q MAXLEN", "MAXLEN lacks its value"},
		{"PATTERN q MAXLEN -1", "MAXLEN must be an integer from 0 to 9007199254740992"},
		{"PATTERN q MAXLEN 9007199254740993", "MAXLEN must be an integer from 0 to 9007199254740992"},
		{"PATTERN q MAXLEN +1", "MAXLEN must be an integer from 0 to 9007199254740992"},
		{"PATTERN q MAXLEN 1 MAXLEN 2", "MAXLEN is given twice"},
		{"PATTERN q SIZE 1", "there is no setting 'SIZE'"},
		{"PATTERN q OVERFLOW BLOCK", "OVERFLOW lacks its value"},
		{"PATTERN q OVERFLOW BLOCK x", "OVERFLOW must be REJECT, BLOCK with a number of milliseconds from 0 to 9007199254740992, or DROPOLDEST"},
		{"PATTERN q OVERFLOW WAIT", "OVERFLOW must be REJECT, BLOCK with a number of milliseconds from 0 to 9007199254740992, or DROPOLDEST"},
		{"PATTERN q PRIORITY 2147483648 MAXLEN 1", "PRIORITY must be an integer from -2147483648 to 2147483647"},
		{"PATTERN q PRIORITY x MAXLEN 1", "PRIORITY must be an integer from -2147483648 to 2147483647"},
		{"PATTERN q BACKOFF 5 1", "BACKOFF must be two numbers of milliseconds from 0 to 9007199254740992, the first no greater than the second"},
		{"PATTERN q POP MAYBE", "POP must be CONFIRMED or AUTO"},
		{"PATTERN q RETENTION SOME", "RETENTION must be ALL or UNACKED"},
		{"PATTERN q TTL 1.5", "TTL must be a number of milliseconds from 0 to 9007199254740992"},
		{"PATTERN q GROUP g MAXLEN 5", "MAXLEN is about a key as a whole: a policy with GROUP cannot have it"},
		{"PATTERN q MAXDELIVERIES 3", "MAXDELIVERIES needs a DEADLETTER in the same policy: no message is thrown away unsaid"},
	} {
		if _, err := Parse("x", words(c.text)); err == nil || err.Error() != c.reason {
			t.Errorf("%s: %v, want %s", c.text, err, c.reason)
		}
	}
	for _, name := range []string{"", strings.Repeat("x", nameBytesMax+1)} {
		if _, err := Parse(name, words("PATTERN q MAXLEN 1")); err != errName {
			t.Errorf("the name %q: %v", name, err)
		}
	}
}

// The highest priority decides, for each setting by itself; of equal ones the
// first name.
func TestEffect(t *testing.T) {
	var s Set
	if s.Of([]byte("jobs")) != nil || s.OfGroup([]byte("jobs"), []byte("g")) != nil {
		t.Fatal("something is said without a policy")
	}
	s.Put(mustParse(t, "all", "PATTERN * MAXLEN 1000 LEASE 5000"))
	s.Put(mustParse(t, "b", "PATTERN jobs* PRIORITY 5 MAXLEN 10"))
	s.Put(mustParse(t, "a", "PATTERN jobs* PRIORITY 5 MAXLEN 20 OVERFLOW BLOCK 7"))
	s.Put(mustParse(t, "slow", "PATTERN jobs* GROUP slow* PRIORITY 9 LEASE 60000"))
	show := func(e *Effect) string {
		var b []string
		for _, x := range e.Each() {
			b = append(b, x.Name+"="+x.Value+"("+x.Policy.Name+")")
		}
		return strings.Join(b, " ")
	}
	for range 2 { // the second time from the cache
		for _, c := range []struct{ key, group, want string }{
			{"other", "", "MAXLEN=1000(all) LEASE=5000(all)"},
			{"jobs", "", "MAXLEN=20(a) OVERFLOW=BLOCK 7(a) LEASE=5000(all)"},
			{"jobs", "slow1", "MAXLEN=20(a) OVERFLOW=BLOCK 7(a) LEASE=60000(slow)"},
			{"jobs", "quick", "MAXLEN=20(a) OVERFLOW=BLOCK 7(a) LEASE=5000(all)"},
		} {
			e := s.Of([]byte(c.key))
			if c.group != "" {
				e = s.OfGroup([]byte(c.key), []byte(c.group))
			}
			if got := show(e); got != c.want {
				t.Errorf("%s/%s: %s, want %s", c.key, c.group, got, c.want)
			}
		}
	}
	version := s.Version
	if !s.Remove("a") || s.Remove("a") || s.Version == version {
		t.Error("a is still there")
	}
	if e := s.Of([]byte("jobs")); e.MaxLen != 10 || e.Overflow != OverflowReject || !e.Bounded() {
		t.Errorf("without a: %s", show(e))
	}
	s.Put(mustParse(t, "all", "PATTERN other TTL 1"))
	if e := s.Of([]byte("third")); e != nil || s.Len() != 3 {
		t.Errorf("all does not match any more: %s", show(e))
	}
}

// Keys are looked after if something runs out there on its own.
func TestTended(t *testing.T) {
	var s Set
	for _, c := range []struct {
		policy string
		every  int64
		tends  string
	}{
		{"PATTERN a* MAXLEN 5 LEASE 1", 0, ""},
		{"PATTERN ab RETENTION UNACKED", 60_000, "ab"},
		{"PATTERN b* GROUP g CONSUMER-TTL 50000", 5000, "ab b"},
		{"PATTERN c TTL 1", 1000, "ab b c"},
		{"PATTERN d TTL 0", 1000, "ab b c"},
	} {
		s.Put(mustParse(t, c.policy, c.policy))
		var tends []string
		for _, key := range []string{"a", "ab", "b", "c", "d"} {
			if s.Tends([]byte(key)) {
				tends = append(tends, key)
			}
		}
		if every, got := s.TendedEvery(), strings.Join(tends, " "); every != c.every || got != c.tends {
			t.Errorf("%s: %s every %d ms, want %s every %d", c.policy, got, every, c.tends, c.every)
		}
		if want := s.Get("PATTERN b* GROUP g CONSUMER-TTL 50000") != nil; s.TendsGroups() != want {
			t.Errorf("%s: groups are looked at: %v", c.policy, s.TendsGroups())
		}
	}
}

func TestBackoff(t *testing.T) {
	s := Settings{BackoffMin: 100, BackoffMax: 1000}
	for n, want := range map[int64]int64{0: 100, 1: 100, 2: 200, 3: 400, 4: 800, 5: 1000, 1 << 60: 1000} {
		if got := s.Backoff(n); got != want {
			t.Errorf("after %d deliveries: %d, want %d", n, got, want)
		}
	}
	if got := (&Settings{BackoffMax: 5}).Backoff(1 << 60); got != 0 {
		t.Errorf("without a minimum: %d", got)
	}
}

// The table is in order, and every setting has all that it needs.
func TestTable(t *testing.T) {
	for i, s := range table {
		if int(s.id) != i || s.name == "" || s.form == "" || s.help == "" || s.set == nil || s.get == nil || s.words == nil {
			t.Errorf("setting %d (%s) is not complete", i, s.name)
		}
		if find(s.name) != &table[i] {
			t.Errorf("%s is not found", s.name)
		}
	}
	if len(Describe()) != int(settingCount) {
		t.Error("not all settings are described")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("x", "PATTERN s GROUP g? LEASE 1000 MAXDELIVERIES 3 DEADLETTER dead BACKOFF 10 1000")
	f.Add("x", "PATTERN q OVERFLOW BLOCK 5 MAXLEN 3 MAXBYTES 4 POP CONFIRMED TTL 1 RETENTION UNACKED CONSUMER-TTL 5")
	f.Fuzz(func(t *testing.T, name, text string) {
		p, err := Parse(name, strings.Split(text, " "))
		if err != nil {
			return
		}
		again, err := Decode(name, p.AppendRecord(nil))
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%q: %v, read again %v: %v", text, p, again, err)
		}
		var s Set
		s.Put(p)
		s.Of([]byte("key"))
		s.OfGroup([]byte("key"), []byte("group"))
	})
}

func FuzzDecode(f *testing.F) {
	p, _ := Parse("x", strings.Fields("PATTERN q MAXLEN 5"))
	f.Add(p.AppendRecord(nil))
	f.Fuzz(func(t *testing.T, record []byte) {
		if p, err := Decode("x", record); err == nil && len(p.AppendRecord(nil)) == 0 {
			t.Fatal("a policy without a record")
		}
	})
}

// What is remembered is bounded, however many groups are asked for.
func TestRememberedIsBounded(t *testing.T) {
	p, err := Parse("x", strings.Fields("PATTERN * LEASE 5"))
	if err != nil {
		t.Fatal(err)
	}
	var s Set
	s.Put(p)
	for i := range 3 * cachedMax {
		key, group := strconv.AppendInt(nil, int64(i%7), 10), strconv.AppendInt(nil, int64(i), 10)
		if e := s.OfGroup(key, group); e == nil || e.Lease != 5 {
			t.Fatalf("group %s of %s: %v", group, key, e)
		}
	}
	n := len(s.cache)
	for _, k := range s.cache {
		n += len(k.groups)
	}
	if n != s.cached || n > cachedMax+1 {
		t.Errorf("%d are remembered, counted were %d", n, s.cached)
	}
}
