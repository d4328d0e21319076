// Package logdriver ships containers' output to log streams.
//
// conmon writes what a container prints to a file, a line at a time:
//
//	2026-11-23T02:31:18.123456789+00:00 stdout F the text
//
// with P instead of F where the text goes on in the next line of the same
// stream. The file outlives Berth. A [Shipper] follows it from where it was,
// hands its lines to a [Sink], and gives the disk space of shipped lines back by
// punching holes, so a container that prints for ever does not fill the disk.
//
// It owns the files once the container runs: it alone removes them. It must
// not know what is behind the Sink, nor what a task is.
//
// # Order of calls
//
//	s, err := logdriver.New(sink, log)
//	err = s.Follow(id, path, target)  // before the container starts, and again after a restart of Berth
//	err = s.Finish(ctx, id)           // after it has exited: returns when the last byte is shipped
//	err = s.Close()                   // leaves the files for the next process
//
// Follow opens the target first when the file is not there yet, and its error
// is then a reason not to start the container, in the words of Docker's awslogs
// driver. Finish of a container that nobody follows does nothing: after a restart
// call Follow, then Finish.
//
// # Exactly once
//
// An event ends at the file offset behind the line that completes it, so
// events come in order of their ends. Each Put hands the sink a batch and the
// end of its last event, and the sink stores both or neither. The next process
// asks the sink for that end (Cursor), reads the file again from its first byte
// that is no hole, and drops the events that end at or before it. It may
// read from an earlier place than needed: the same lines make the same events.
//
// The hole ends where the first line of the earliest event not yet shipped
// begins. That is not always the cursor: a partial line of stdout may wait for
// its end while lines of stderr pass it. Joining and splitting depend on nothing
// before that line, which is why an overlong line is cut at the end of a
// fragment, and why all events that one line makes go in one batch.
//
// Lines that belong to one event (awslogs-multiline-pattern and
// awslogs-datetime-format) are grouped behind that; an event that has waited
// five seconds for more lines is shipped, and no group goes on behind the cursor,
// so the next process makes the same events of the same lines.
//
// What is still pending when the container is gone has no end of its own: it
// ends one byte behind the end of the file.
//
// # What awslogs does, and so does this
//
//   - empty lines are dropped: CloudWatch Logs has no empty events;
//   - an event is at most 256 KiB less 26 bytes; longer lines are split;
//   - bytes that are not UTF-8 become U+FFFD;
//   - when group or stream are deleted under a running container, its lines
//     are dropped, with an error in Berth's log, until they exist again. Other
//     errors of the sink are retried with back-off, for ever, and the file
//     keeps the lines meanwhile.
//
// # Tests
//
// go test ./agent/logdriver has a crash test: a process that ships is killed at
// random points while a writer goes on, and each line must be in the store
// once, in order.
package logdriver
