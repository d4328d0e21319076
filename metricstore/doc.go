// Package metricstore keeps metrics on this host's disk: of each series, by the minute,
// how many samples there were, their sum, the least and the greatest (Pebble).
//
//	s, err := metricstore.Open(dir, time.Now)
//	err = s.Put(samples)                         // all of them, on the disk
//	for each p := range s.Read(series, from, to) // one point a minute
//
// It owns series and points. It must not know CloudWatch's requests, statistics or
// periods: those are package api/cloudwatch's.
//
// Put is one atomic write, synced when it returns. Points are kept for 15 days, as
// CloudWatch keeps those of a minute; what is older goes at the first write of each hour.
//
// # Tests
//
// They run on a store in a temporary directory, with a clock of their own.
package metricstore
