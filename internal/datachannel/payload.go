package datachannel

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Kind is the type of a payload.
type Kind uint32

// The kinds of payloads that are spoken here. Others (2 Error, 4 Parameter, 8
// and 9 for KMS) are not sent, and ignored by who gets them.
const (
	Data              Kind = 1 // stdin, stdout, or a terminal's both
	Size              Kind = 3
	HandshakeRequest  Kind = 5
	HandshakeResponse Kind = 6
	HandshakeComplete Kind = 7
	Flag              Kind = 10
	Stderr            Kind = 11
	ExitCode          Kind = 12
)

// TerminateSession is the Flag by which a client asks for the end.
const TerminateSession = 2

// Open is a client's first message, as text.
type Open struct {
	MessageSchemaVersion string
	RequestId            string
	TokenValue           string
	ClientId             string
	ClientVersion        string
	// Mode is Berth's own, for its command line: AWS's plugin leaves it out.
	// ModeTerminal is as the plugin's but for an ExitCode at the end; ModePipes
	// has no terminal, a Stderr of its own, and an end of input: an empty Data.
	Mode Mode `json:",omitempty"`
}

// Mode is what a client can do beyond AWS's plugin.
type Mode string

// The modes.
const (
	ModePlugin   Mode = ""
	ModeTerminal Mode = "terminal"
	ModePipes    Mode = "pipes"
)

// WindowSize is the payload of Size.
type WindowSize struct {
	Cols uint32 `json:"cols"`
	Rows uint32 `json:"rows"`
}

// Request is the payload of HandshakeRequest.
type Request struct {
	AgentVersion           string
	RequestedClientActions []Action
}

// Action is what the service asks of the client.
type Action struct {
	ActionType       string // SessionType
	ActionParameters any
}

// Response is the payload of HandshakeResponse.
type Response struct {
	ClientVersion          string
	ProcessedClientActions []Processed
	Errors                 []string
}

// Processed is what became of an Action.
type Processed struct {
	ActionType   string
	ActionStatus int // 1 success, 2 failed, 3 unsupported
	Error        string
}

// Complete is the payload of HandshakeComplete.
type Complete struct {
	HandshakeTimeToComplete time.Duration // nanoseconds
	CustomerMessage         string
}

// acknowledgement is the payload of an acknowledge frame.
type acknowledgement struct {
	AcknowledgedMessageType           string
	AcknowledgedMessageId             string
	AcknowledgedMessageSequenceNumber int64
	IsSequentialMessage               bool
}

// Closed is the payload of a channel_closed frame. A client that gets one ends.
type Closed struct {
	MessageId     string
	CreatedDate   string
	DestinationId string
	SessionId     string
	MessageType   string
	SchemaVersion int
	// Output is what the client shows; empty for an end in order.
	Output string
}

// Handshake is what the service asks first: that the client be a terminal (or
// pipes) for a command.
func Handshake(command string, m Mode) []byte {
	kind := "InteractiveCommands"
	if m == ModePipes {
		kind = "NonInteractiveCommands"
	}
	return encode(Request{
		// Clients only look at whether the agent is new enough for what they want.
		AgentVersion: "3.3.0.0",
		RequestedClientActions: []Action{{ActionType: "SessionType", ActionParameters: map[string]any{
			"SessionType": kind, "Properties": map[string]string{"command": command},
		}}},
	})
}

// CheckHandshake says why a client can't go on.
func CheckHandshake(b []byte) error {
	var r Response
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("read the client's handshake: %w", err)
	}
	for _, p := range r.ProcessedClientActions {
		if p.ActionType == "SessionType" && p.ActionStatus == 1 {
			return nil
		}
	}
	return fmt.Errorf("the client refuses the session: %q", r.Errors)
}

// Accept answers a handshake as a client that can do all that is asked.
func Accept(version string) []byte {
	return encode(Response{ClientVersion: version, ProcessedClientActions: []Processed{{ActionType: "SessionType", ActionStatus: 1}}})
}

// Completed is the payload of HandshakeComplete.
func Completed(took time.Duration) []byte { return encode(Complete{HandshakeTimeToComplete: took}) }

// EncodeSize is the payload of Size.
func EncodeSize(s WindowSize) []byte { return encode(s) }

// DecodeSize reads a payload of Size.
func DecodeSize(b []byte) (WindowSize, error) {
	var s WindowSize
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("read a window size: %w", err)
	}
	return s, nil
}

// EncodeExit is the payload of ExitCode: the number in decimal.
func EncodeExit(code int) []byte { return []byte(strconv.Itoa(code)) }

// DecodeExit reads a payload of ExitCode.
func DecodeExit(b []byte) (int, error) {
	code, err := strconv.Atoi(string(b))
	if err != nil {
		return 0, fmt.Errorf("read an exit code: %w", err)
	}
	return code, nil
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // not of these types
	}
	return b
}
