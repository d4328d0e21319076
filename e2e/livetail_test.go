package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// spoken gathers what a command prints.
type spoken struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *spoken) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *spoken) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// The AWS CLI, with what `berth env` prints, tails logs as they come.
func TestLiveTailByCLI(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.aws(t, "logs", "create-log-group", "--log-group-name", "e2e")
	group := strings.TrimSpace(h.aws(t, "logs", "describe-log-groups", "--query", "logGroups[0].logGroupArn", "--output", "text"))
	env, err := exec.Command(built.berth, "env", "--data-dir", h.dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	var said spoken
	cmd := exec.Command("/bin/sh", "-c", string(env)+`
exec aws logs start-live-tail --log-group-identifiers "$0"`, group)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	}()
	task := *h.run(t, h.register(t, []types.ContainerDefinition{container("main", "drip=10")})).TaskArn
	eventually(t, 40*time.Second, func() error {
		if !strings.Contains(said.String(), "line ") {
			return fmt.Errorf("the CLI said %q", said.String())
		}
		return nil
	})
	h.stop(t, task)
}
