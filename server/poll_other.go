//go:build !linux

package server

func newPoller(bool) (poller, error) { return newPortablePoller(), nil }
