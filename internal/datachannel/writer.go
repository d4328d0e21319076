package datachannel

import (
	"context"
	"errors"
	"time"
)

// write sends what there is to send, until the connection breaks, or the
// channel has ended and the last of it is sent, which is nil.
func (c *Channel) write(ctx context.Context, conn Conn) error {
	c.renew()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		acks, frames, due, end := c.turn(time.Now())
		for _, b := range acks {
			if err := conn.Write(ctx, b); err != nil {
				return err
			}
		}
		if end != nil {
			return nil
		}
		for _, b := range frames {
			if err := conn.Write(ctx, b); err != nil {
				return err
			}
		}
		if due.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(due))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.wake:
		case <-timer.C:
		}
	}
}

// renew makes all that is unacknowledged due: what an earlier connection lost
// comes first on this one.
func (c *Channel) renew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.unacked {
		if s.tries > 0 {
			s.first, s.due = time.Now(), time.Time{}
			s.carried = true
		}
		s.here, s.place = 0, 0
	}
	c.placed = 0
	c.ring()
}

// silentAfter is how often a connection carries a frame before its silence says
// something.
const silentAfter = 3

// silent tells whether a frame stays without an answer that an earlier connection
// carried, too. AWS's plugin acknowledges a frame once: when that word is lost
// with a connection, it leaves all copies that come later unanswered. What tells
// this from a plugin that is slow is an answer to a frame which came after the
// copies.
func (s *sent) silent() bool { return s.carried && s.here >= silentAfter }

// ask adds an empty frame when there is a silent one and none behind it that
// could be answered. c.mu is held.
func (c *Channel) ask() {
	if c.out != Output || len(c.unacked) == 0 || !c.unacked[len(c.unacked)-1].silent() {
		return
	}
	c.unacked = append(c.unacked, &sent{seq: c.next, kind: Data})
	c.next++
}

// turn takes what is to be sent now, and says when to look again.
func (c *Channel) turn(now time.Time) (acks, frames [][]byte, due time.Time, end error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	acks, c.acks = c.acks, nil
	if c.end == nil && len(c.unacked) > 0 && c.unacked[0].tries > 0 && now.Sub(c.unacked[0].first) > patience {
		c.finish(errors.New("the other end doesn't acknowledge what it is sent"))
	}
	if c.end != nil || c.paused {
		return acks, nil, time.Time{}, c.end
	}
	c.ask()
	for _, s := range c.unacked {
		if !s.due.After(now) {
			if s.tries == 0 {
				s.first = now
				c.encode(s, now)
			}
			if s.here == 0 {
				c.placed++
				s.place = c.placed
			}
			s.due = now.Add(c.timeout.wait(s.tries))
			s.tries++
			s.here++
			frames = append(frames, s.bytes)
		}
		if due.IsZero() || s.due.Before(due) {
			due = s.due
		}
	}
	return acks, frames, due, nil
}

// estimate is how long an acknowledgement may take, from how long they took
// (RFC 6298).
type estimate struct{ mean, deviation time.Duration }

const (
	leastTimeout = 100 * time.Millisecond
	mostTimeout  = 2 * time.Second
)

func newEstimate() estimate { return estimate{mean: 100 * time.Millisecond} }

func (e *estimate) add(took time.Duration) {
	e.deviation += ((e.mean - took).Abs() - e.deviation) / 4
	e.mean += (took - e.mean) / 8
}

// wait is how long to wait after sending a frame that was sent tries times before.
func (e *estimate) wait(tries int) time.Duration {
	d := max(e.mean+4*e.deviation, leastTimeout)
	return min(d<<min(tries, 5), mostTimeout)
}
