// Package datachannel is the wire of AWS's Session Manager between a person's
// session-manager-plugin and the service: frames with sequence numbers and
// acknowledgements over a websocket, which may be lost and come back. It knows
// nothing of what a session is about.
//
// AWS doesn't document the protocol. Its public source is the plugin
// (github.com/aws/session-manager-plugin), which is what unmodified AWS clients
// run; the end-to-end tests build that plugin and talk to it.
//
// # Files
//
//	frame.go    one binary message: header, digest, payload
//	payload.go  what payloads say: open, handshake, size, exit code, acknowledge, closed
//	channel.go  a Channel: payloads in order, each exactly once, over lossy connections
//	writer.go   what is sent when: acknowledgements, new frames, those to send again
//	socket.go   a Conn over a websocket
//
// # Order of calls
//
// The client opens a websocket and sends the text message Open with its token.
// From then on both ends have a Channel, and all is binary frames:
//
//	c := datachannel.New(datachannel.Output)   // the service; a client's is New(datachannel.Input)
//	go c.Serve(ctx, conn)                      // again with a new conn when that one breaks
//	err := c.Send(ctx, datachannel.HandshakeRequest, b)
//	p, err := c.Receive(ctx)
//	c.Finish(ctx)                              // until all that was sent is acknowledged
//
// # Tests
//
// Frames have a table and a fuzzer. Channels are tested in fake time over
// connections that lose, repeat and reorder frames.
package datachannel
