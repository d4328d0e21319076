package insights

import (
	"maps"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/berth/berth/api/logs/event"
)

// Event is a log event. Times are in ms since 1970.
type Event struct {
	Time, Ingested int64
	Message        string
	Stream         string
	Log            string // account:group
	Seq            uint64 // with Log, Stream and Time, what it is found by again
}

// Pointer makes the @ptr of an event: what GetLogRecord finds it by.
type Pointer func(*Event) string

// maxFields is how many fields are found in an event (User Guide, "Supported
// logs and discovered fields").
const maxFields = 200

// row is an event on its way through the stages, or what stats made of some.
type row struct {
	event *Event
	made  map[string]value // by the query
	size  int              // bytes of their texts
	// found are properties of a JSON event, looked for when the first is asked for;
	// wanted are the names that the query has.
	found   map[string]value
	looked  bool
	wanted  map[string]bool
	pointer Pointer
}

func (r *row) get(name string) value {
	if v, ok := r.made[name]; ok {
		return v
	}
	if r.event == nil {
		return value{}
	}
	switch name {
	case "@timestamp":
		return momentOf(r.event.Time)
	case "@ingestionTime":
		return momentOf(r.event.Ingested)
	case "@message":
		return textOf(r.event.Message)
	case "@logStream":
		return textOf(r.event.Stream)
	case "@log":
		return textOf(r.event.Log)
	case "@ptr":
		return textOf(r.pointer(r.event))
	}
	if !r.looked {
		r.looked = true
		if r.found == nil {
			r.found = map[string]value{}
		}
		discover(r.event.Message, func(name string, v value) bool {
			if !r.wanted[name] {
				return true
			}
			if _, ok := r.found[name]; !ok {
				r.found[name] = v
			}
			return len(r.found) < len(r.wanted)
		})
	}
	return r.found[name]
}

// set gives the row a field. The texts of all that a query makes of one event are
// bounded: what would be too much is missing.
func (r *row) set(name string, v value) {
	if r.made == nil {
		r.made = map[string]value{}
	}
	if r.size += len(v.text); r.size > 2*maxText {
		v = value{}
	}
	r.made[name] = v
}

// begin makes the row one of another event.
func (r *row) begin(e *Event) {
	r.event, r.looked, r.size = e, false, 0
	clear(r.made)
	clear(r.found)
}

// keep returns a copy that outlives the next event, and about how many bytes it
// has.
func (r *row) keep() (*row, int) {
	out := &row{made: maps.Clone(r.made), found: maps.Clone(r.found), looked: r.looked, wanted: r.wanted, pointer: r.pointer}
	size := 200
	if r.event != nil {
		e := *r.event
		out.event = &e
		size += len(e.Message) + len(e.Stream) + len(e.Log)
	}
	for k, v := range out.made {
		size += len(k) + len(v.text) + 64
	}
	return out, size + 100*len(out.found)
}

// Fields are the fields of an event with their values: those that every event has,
// with times in ms since 1970, and those found in it (API_GetLogRecord).
func Fields(e Event, p Pointer) map[string]string {
	r := row{event: &e, pointer: p}
	out := map[string]string{}
	for _, name := range []string{"@message", "@logStream", "@log", "@ptr"} {
		out[name] = r.get(name).String()
	}
	out["@timestamp"], out["@ingestionTime"] = strconv.FormatInt(e.Time, 10), strconv.FormatInt(e.Ingested, 10)
	discover(e.Message, func(name string, v value) bool {
		if _, ok := out[name]; !ok {
			out[name] = v.String()
		}
		return true
	})
	return out
}

// discover calls found for the properties of a message that is a JSON object,
// until it returns false. A name that begins with @ gets another. Of two with a name
// the first counts.
func discover(message string, found func(name string, v value) bool) {
	object, ok := event.Object(message)
	if !ok {
		return
	}
	left := maxFields
	flatten("", object, func(name string, v value) bool {
		if strings.HasPrefix(name, "@") {
			name = "@" + name
		}
		left--
		return found(name, v) && left > 0
	})
}

// flatten walks the values that are neither objects nor arrays, until found
// returns false.
func flatten(prefix string, v gjson.Result, found func(name string, v value) bool) bool {
	if !v.IsObject() && !v.IsArray() {
		switch v.Type {
		case gjson.String:
			return found(prefix, textOf(v.Str))
		case gjson.Number:
			// The text is kept: 1.0 and large numbers are shown as they were written.
			return found(prefix, textOf(v.Raw))
		case gjson.Null:
			return true
		}
		return found(prefix, truthOf(v.Type == gjson.True))
	}
	more, i := true, 0
	v.ForEach(func(k, x gjson.Result) bool {
		name := k.Str
		if v.IsArray() {
			name = strconv.Itoa(i)
			i++
		}
		if prefix != "" {
			name = prefix + "." + name
		}
		more = flatten(name, x, found)
		return more
	})
	return more
}
