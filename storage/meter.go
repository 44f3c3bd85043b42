package storage

// meterMillis is the time over which a Meter averages.
const meterMillis = 10_000

// Meter counts what happens to an object, to tell how often it does: an addition for
// each time. It lives and goes with the object in memory. The zero value has
// counted nothing.
type Meter struct {
	began       int64 // unix ms at which this period began
	now, before int64 // counted in this one, and in the one before
}

// Add counts n at a time, in unix ms.
func (m *Meter) Add(n, at int64) {
	m.roll(at)
	m.now += n
}

func (m *Meter) roll(at int64) {
	switch age := at - m.began; {
	case age < meterMillis: // also of a clock that was set back
	case age < 2*meterMillis && m.began != 0:
		m.began, m.before, m.now = m.began+meterMillis, m.now, 0
	default:
		*m = Meter{began: at}
	}
}

// PerSecond returns how often it happened lately.
func (m Meter) PerSecond(at int64) float64 {
	m.roll(at)
	share := float64(meterMillis-max(0, at-m.began)) / meterMillis // of the period before
	return (float64(m.now) + share*float64(m.before)) / (meterMillis / 1000)
}

// Rates returns how many messages a second have come and gone lately at a key, be
// there anything now or not. It is 0 for what has not been in memory since.
func (tx *Tx) Rates(key []byte) (in, out float64) {
	o := tx.find(key)
	return o.In.PerSecond(tx.nowMs), o.Out.PerSecond(tx.nowMs)
}
