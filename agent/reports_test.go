package agent

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth/berth/state"
)

// While the server can't be reached tasks go on; it is then told all at once.
func TestReportsWait(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.server.mu.Lock()
		w.server.fail = errors.New("no route")
		w.server.mu.Unlock()
		w.host.programs["web"] = &program{exitAfter: time.Minute, code: 4}
		var ids []string
		for range 5 {
			ids = append(ids, w.run(define("web")))
		}
		pass(time.Second)
		if len(w.host.starts) != 5 {
			t.Errorf("%d containers were started, want 5", len(w.host.starts))
		}
		if s := w.agent.Status(); s.Unreported != 5 || s.ReportError != "no route" {
			t.Errorf("status %+v", s)
		}
		pass(2 * time.Minute)
		w.server.mu.Lock()
		w.server.fail = nil
		w.server.mu.Unlock()
		pass(time.Minute)
		for _, id := range ids {
			w.wantStop(id, exited, "")
			if r := w.report(id); r.StartedAt.IsZero() {
				t.Errorf("what was not reported in time is lost: %+v", r)
			}
		}
		if len(w.server.all) != 5 {
			t.Errorf("%d reports for 5 tasks", len(w.server.all))
		}
		if s := w.agent.Status(); s.Unreported != 0 || s.ReportError != "" {
			t.Errorf("status %+v", s)
		}
		w.gone()
	})
}

// A batch that was refused doesn't hide what came after it.
func TestReportsPutBack(t *testing.T) {
	r := newReports()
	put := func(id string, s state.TaskState) { r.put(state.TaskReport{TaskID: id, State: s}) }
	put("a", state.Pending)
	put("b", state.Pending)
	put("a", state.Activating)
	batch := r.take()
	put("b", state.Running)
	put("c", state.Pending)
	r.putBack(batch, errors.New("refused"))
	var got []string
	for _, rep := range r.take() {
		got = append(got, fmt.Sprint(rep.TaskID, " ", rep.State))
	}
	if want := []string{"a ACTIVATING", "b RUNNING", "c PENDING"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Reports of a task never go down, and say at each time all that was said before.
func TestReportsGrow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.programs["init"] = &program{exitAfter: time.Second}
		id := w.run(define("init", optional), define("web", after("init", onSuccess)))
		pass(2 * time.Second)
		w.stop(id)
		var last state.TaskReport
		for _, r := range w.server.all {
			if r.State < last.State || r.ConnectivityAt.Before(last.ConnectivityAt) || r.StartedAt.Before(last.StartedAt) {
				t.Errorf("after\n%+v came\n%+v", last, r)
			}
			last = r
		}
		if last.State != state.Stopped {
			t.Errorf("the last is %s", last.State)
		}
	})
}

// 16 tasks at once are launched at the same time, but no more containers are
// made at once than the host can take.
func TestManyAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.close()
		w.boot(0)
		most := cap(w.agent.starts)
		for range most {
			w.agent.starts <- struct{}{} // all places are taken
		}
		for i := range 16 {
			id := fmt.Sprint("t", i)
			w.tasks[id] = assignment(id, define("web"))
		}
		w.full()
		pass(time.Minute)
		if len(w.host.containers) != 0 || len(w.host.enis) != 16 || len(w.host.sandboxes) != 16 {
			t.Errorf("%d containers, %d interfaces, %d sandboxes", len(w.host.containers), len(w.host.enis), len(w.host.sandboxes))
		}
		if s := w.agent.Status(); !slices.Contains(s.Tasks[0].Doing, "create web") {
			t.Errorf("status %+v", s.Tasks[0])
		}
		<-w.agent.starts // one at a time is enough
		synctest.Wait()
		for id := range w.tasks {
			w.wantState(id, state.Running)
		}
		for range most - 1 {
			<-w.agent.starts
		}
	})
}

// People see what a task waits for.
func TestStatusSaysWhy(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.images["app"].delay = time.Hour
		w.run(define("db", optional, checked(30, 5, 3, 0)), define("web", after("db", onHealthy)))
		if s := w.agent.Status(); !s.Ordered || !slices.Equal(s.Tasks[0].Doing, []string{"pull db", "pull web", "container web waits until db has reached HEALTHY"}) {
			t.Errorf("status %+v", s)
		}
		refuse := func(err error) {
			w.host.mu.Lock()
			w.host.netErr = err
			w.host.mu.Unlock()
		}
		refuse(errors.New("no nftables"))
		w.full()
		synctest.Wait()
		if s := w.agent.Status(); s.NetworkError != "no nftables" {
			t.Errorf("status %+v", s)
		}
		refuse(nil)
		pass(time.Second)
		if s := w.agent.Status(); s.NetworkError != "" {
			t.Errorf("status %+v", s)
		}
	})
}

func TestLongReason(t *testing.T) {
	long := fits(string(make([]byte, 5000)))
	if len(long) > 1026 || fits("short") != "short" {
		t.Errorf("%d bytes", len(long))
	}
}
