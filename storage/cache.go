package storage

// objectBytes is what an object in memory costs beside its key and state.
const objectBytes = 256

// cache bounds the memory of objects: those used least recently are forgotten
// between turns, when everything is on disk. Missing keys are remembered as
// well, so that a consumer who polls an empty queue costs no read.
type cache struct {
	root     Object // list of objects, most recently used first
	bytes    int
	bytesMax int
	count    int
	large    int // objects of largeBytes or more
}

// largeBytes is the size from which an object in memory is one of those that
// share the cache, and not one of the many that take next to nothing.
const largeBytes = 4 << 10

func newCache(bytesMax int) *cache {
	c := &cache{bytesMax: bytesMax}
	c.root.prev, c.root.next = &c.root, &c.root
	return c
}

func (c *cache) add(o *Object) {
	o.size = objectBytes + len(o.Key) + len(o.Meta)
	c.bytes += o.size
	c.count++
	c.large += isLarge(o.size)
	c.link(o)
}

func (c *cache) link(o *Object) {
	o.prev, o.next = &c.root, c.root.next
	o.prev.next, o.next.prev = o, o
}

func (c *cache) unlink(o *Object) {
	o.prev.next, o.next.prev = o.next, o.prev
	o.prev, o.next = nil, nil
}

func (c *cache) front(o *Object) {
	if o.next == nil || c.root.next == o {
		return
	}
	c.unlink(o)
	c.link(o)
}

// resize counts anew what o holds.
func (c *cache) resize(o *Object) {
	if o.next == nil {
		return // no longer in the cache
	}
	size := objectBytes + len(o.Key) + len(o.Meta) + cap(o.heldMeta)
	if o.State != nil {
		size += o.State.MemoryBytes()
	}
	c.bytes += size - o.size
	c.large += isLarge(size) - isLarge(o.size)
	o.size = size
}

func isLarge(size int) int {
	if size >= largeBytes {
		return 1
	}
	return 0
}

// share is what a large object may take so that all of them fit: half of the
// cache divided by their number. With all of the cache the number could not grow
// to what it is to be, as others are forgotten to make room for each new one.
func (c *cache) share() int { return c.bytesMax / 2 / max(1, c.large) }

func (c *cache) remove(o *Object) {
	if o.next == nil {
		return
	}
	c.unlink(o)
	c.bytes -= o.size
	c.count--
	c.large -= isLarge(o.size)
}

// evict forgets objects until the cache has at most bytesMax; a negative number
// means all. It must run between turns. Objects with unwritten soft changes
// stay, and those that are guarded. forget is told of each.
func (c *cache) evict(bytesMax int, forget func(*Object)) {
	for o := c.root.prev; c.bytes > bytesMax && o != &c.root; {
		older := o.prev
		if !o.soft && o.guards == 0 {
			c.remove(o)
			delete(o.space.objects, o.Key)
			forget(o)
		}
		o = older
	}
}
