// Package logstore keeps log groups, their streams and their events: the data
// of CloudWatch Logs. It is append-only data and not desired state, so it has
// an engine of its own, Pebble, and groups and streams live beside their events.
//
// It owns its directory. It must not know AWS's API (limits, error texts,
// filter patterns), nor who writes.
//
// # What is on disk
//
// All keys start with a letter; IDs, times and sequence numbers are 8 bytes,
// most significant first, so that keys sort as numbers do.
//
//	g <account> 0 <region> 0 <name>          group, as JSON
//	s <group ID> <name>                      stream: ID and times
//	e <group ID> <stream ID> <time> <seq>    event: ingestion time and message
//	c <group ID> <stream ID> <source>        cursor of a source
//	b <group ID> <stream ID> <day>           bytes of a day; stream 0: of the whole group
//	x <group ID> <day> <stream ID>           that the stream has events of the day: its name
//	d <group ID> <kind> 0 <name>             small record of the store's user, beside a group
//	q <account> 0 <region> 0 <kind> 0 <name> the same, beside a scope
//	n                                        the last sequence number given out
//	v                                        the version of this layout
//
// A put is one batch in the write-ahead log: events, the stream's times, the
// bytes, the sequence number and the source's cursor, all of it or nothing. It
// returns when that is synced; puts at the same time share a sync. Nothing in it
// depends on how much is stored already.
//
// Small puts become big compressed blocks by Pebble's own compactions: the lower
// levels are written in blocks of 64 KiB of neighbouring events, which are those
// of one stream in order of time, each compressed with zstd. There is no second
// layout of ours to move events into, and so no crash in the middle of a move.
//
// Deleting a group, a stream, or the days that are older than a retention period
// is a few range deletions a stream, whatever the number of events. Pebble drops
// whole files later. What is due to expire is known in memory, a day for each
// group, and which streams have events of that day is in an index (x).
//
// # Order
//
// The events of a stream are ordered by time, then by sequence number: that of
// their arrival. A [Position] is a place in that order and stays what it is
// however many events come before or after it. A read over many streams merges
// them into the same order. It needs one iterator and some MiB, however
// many streams there are, and looks only at streams that have events in the
// range.
//
// What a read sees may, for the time of one sync, not be durable yet. What a put
// has acknowledged is.
//
// # Order of calls
//
//	s, err := logstore.Open(dir, time.Now, log)
//	err = s.CreateGroup(scope, logstore.Group{Name: "/ecs/web"})
//	err = s.CreateStream(scope, "/ecs/web", "web/app/1")
//	_, err = s.Put(scope, "/ecs/web", "web/app/1", events, nil)
//	page, err := s.Read(ctx, scope, "/ecs/web", logstore.Query{Limit: 100})
//	err = s.Close()
//
// # Tests
//
// The property test runs random operations against a model in memory, with
// the store closed and opened in between. Use a directory of the test's own and a
// fixed clock.
package logstore
