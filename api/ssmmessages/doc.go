// Package ssmmessages is the data channel of AWS Systems Manager's sessions, as
// far as ECS Exec needs it: a websocket between who asked for a command and the
// node that runs it. It owns sessions: their tokens, their connections, their
// transcripts and their audit lines. It must not know who may have a session
// (api/ecs decides that and calls Open), nor how a node runs a command: that is
// behind [Node].
//
// # Order of calls
//
//	s := ssmmessages.New(cfg)
//	token, err := s.Open(ctx, session)   // by ExecuteCommand, before its answer
//	s.ServeHTTP                          // on Path: the client comes with the token
//	token, ok := s.Resume(id)            // a client whose connection broke; its command went on
//	s.Terminate(id)
//	s.Close()                            // tells all clients, and ends all commands
//
// # A session
//
// It is offered by Open for a minute, begins when its client comes, and ends
// when its command does, with Terminate, when nothing was typed or printed for 20
// minutes, when its transcript can't be written, or when its client was gone for
// too long. A token is good for one connection. Only its hash is kept, and neither
// goes to the log.
//
// Sessions are in memory: a Berth that ends takes them with it, and with them
// their commands. They are not state that anybody wants back.
//
// # Tests
//
// A client of package datachannel talks to it over a real websocket, with a node
// that is a function. AWS's own client is in the end-to-end tests.
package ssmmessages
