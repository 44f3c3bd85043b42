package broker

import (
	"strconv"

	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/storage"
)

// notify publishes what has happened to a key, to those who asked for it
// (notify-keyspace-events): on a channel named after the key, and on one named
// after the event. What takes too long to be compared with all patterns is not told.
func (b *Broker) notify(e storage.Event) {
	want := b.options.Config.NotifyKeyspaceEvents
	if want&eventClass(e) == 0 {
		return
	}
	db := strconv.Itoa(e.DB)
	if want&config.EventsKeyspace != 0 {
		b.server.Hub.Publish([]byte("__keyspace@"+db+"__:"+e.Key), []byte(e.Name))
	}
	if want&config.EventsKeyevent != 0 {
		b.server.Hub.Publish([]byte("__keyevent@"+db+"__:"+e.Name), []byte(e.Key))
	}
}

func eventClass(e storage.Event) config.Events {
	switch e.Type {
	case storage.TypeList:
		return config.EventsList
	case storage.TypeStream:
		return config.EventsStream
	}
	switch e.Name {
	case "expired":
		return config.EventsExpired
	case "keymiss":
		return config.EventsMissed
	case "new":
		return config.EventsNew
	}
	return config.EventsGeneric
}
