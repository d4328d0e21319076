// Package forward takes containers' output to where log drivers other than
// awslogs do: json-file, syslog, fluentd, gelf and journald, with Docker's
// options and in Docker's forms (Docker documentation, "Configure logging
// drivers").
//
// It is a logdriver.Sink in front of another one, which gets what goes to log
// streams. It owns the files of json-file and one connection a container, and
// must not know what a task is.
//
//	s := forward.New(next, dir, log)   // one process a directory
//	logdriver.New(s, log)              // Open, Cursor, Put, Forget, by the shipper
//	s.Close()
//
// How far a container's lines have gone is kept in a file, written behind them:
// a crash between the two sends the last batch twice. None is lost while Berth
// can write its own disk: what can't be delivered stays in the container's file
// and is tried again, however often the options say to.
//
//	<dir>/cursors/<container>                  how far its lines have gone
//	<dir>/json/<container>/<container>-json.log   json-file's; rotated ones end in .1, .2 …
//
// The files of json-file are removed three hours after their container's end, as
// the ECS agent does (ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION).
package forward
