package server

import "sync"

// inbox takes what other goroutines have for the loop: functions that it calls
// between two turns.
type inbox struct {
	wake func()

	mu    sync.Mutex
	posts []func()
}

func (b *inbox) post(f func()) {
	b.mu.Lock()
	b.posts = append(b.posts, f)
	b.mu.Unlock()
	b.wake()
}

func (b *inbox) take() []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	posts := b.posts
	b.posts = nil
	return posts
}
