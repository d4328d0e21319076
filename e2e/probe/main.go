// Probe is the program inside the tests' containers: each argument list is one
// thing to do, so that a test says in its command what it wants to see.
//
//	probe [step ...]     steps are run in order; the exit code is the last's
//
//	exit=N               exit with code N
//	print=TEXT           print a line
//	begin                print "begin" and a number that no other process prints
//	err=TEXT             print a line to stderr
//	lines=N              print N numbered lines
//	drip=N               print numbered lines for ever, N a second
//	serve=PORT           answer HTTP: GET /dial?to=HOST:PORT, /env, /ip,
//	                     /metadata?path=PATH, /file?env=NAME (metadata.go), else "ok",
//	                     until SIGTERM
//	sleep=DURATION       wait
//	wait                 wait for SIGTERM, say so, exit 0
//	ignore               like wait, but do not end on SIGTERM
//	eat=MIB              use so much memory, and hold it
//	write=PATH:TEXT      write a file
//	append=PATH:TEXT     write at the end of one, without a newline
//	cat=PATH             print a file
//	exists=PATH          fail unless the file is there
//	id                   print uid, gid, working directory, host name, PID 1's name
//	dial=HOST:PORT       connect by TCP; fail if that fails
//	gpus                 print the GPUs: see gpus.go
//	shell                ask for commands: see shell.go
//	caps                 print the effective capabilities, in hexadecimal
//
// and what hostile.go has.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	debug.SetGCPercent(-1)
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1)
	for _, step := range os.Args[1:] {
		verb, value, _ := strings.Cut(step, "=")
		if err := do(verb, value, term); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", step, err)
			os.Exit(1)
		}
	}
}

func do(verb, value string, term chan os.Signal) error {
	switch verb {
	case "exit":
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		os.Exit(n)
	case "print":
		fmt.Println(value)
	case "gpus":
		return gpus()
	case "begin":
		fmt.Printf("begin %d\n", time.Now().UnixNano())
	case "err":
		fmt.Fprintln(os.Stderr, value)
	case "lines":
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		for i := range n {
			fmt.Printf("line %d\n", i)
		}
	case "drip":
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		for i := 0; ; i++ {
			fmt.Printf("line %d\n", i)
			select {
			case s := <-term:
				fmt.Printf("got %v\n", s)
				return nil
			case <-time.After(time.Second / time.Duration(n)):
			}
		}
	case "serve":
		failed := make(chan error, 1)
		go func() { failed <- http.ListenAndServe(":"+value, http.HandlerFunc(answer)) }()
		select {
		case err := <-failed:
			return err
		case s := <-term:
			fmt.Printf("got %v\n", s)
		}
	case "sleep":
		d, err := time.ParseDuration(value)
		if err != nil {
			return err
		}
		time.Sleep(d)
	case "wait":
		fmt.Printf("got %v\n", <-term)
	case "ignore":
		for s := range term {
			fmt.Printf("ignored %v\n", s)
		}
	case "eat":
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		var held [][]byte
		for range n {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = byte(i)
			}
			held = append(held, b)
		}
		fmt.Printf("holding %d MiB\n", len(held))
	case "write":
		path, text, _ := strings.Cut(value, ":")
		return os.WriteFile(path, []byte(text+"\n"), 0o644)
	case "append":
		path, text, _ := strings.Cut(value, ":")
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString(text)
		return err
	case "cat":
		b, err := os.ReadFile(value)
		fmt.Print(string(b))
		return err
	case "exists":
		_, err := os.Stat(value)
		return err
	case "id":
		wd, _ := os.Getwd()
		host, _ := os.Hostname()
		init, _ := os.ReadFile("/proc/1/comm")
		fmt.Printf("uid=%d gid=%d cwd=%s host=%s init=%s\n", os.Getuid(), os.Getgid(), wd, host, strings.TrimSpace(string(init)))
	case "dial":
		return dial(value)
	case "shell":
		return shell(term)
	case "caps":
		status, err := os.ReadFile("/proc/self/status")
		for line := range strings.Lines(string(status)) {
			if caps, ok := strings.CutPrefix(line, "CapEff:"); ok {
				fmt.Println("caps " + strings.TrimSpace(caps))
			}
		}
		return err
	default:
		known, err := hostile(verb, value)
		if !known {
			known, err = field(verb, value, term)
		}
		if !known {
			err = fmt.Errorf("no such step")
		}
		return err
	}
	return nil
}

func dial(to string) error {
	conn, err := net.DialTimeout("tcp", to, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
	if err != nil {
		return err
	}
	b, err := io.ReadAll(conn)
	if err == nil && len(b) == 0 {
		err = fmt.Errorf("%s closed the connection without an answer", to)
	}
	return err
}

func answer(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/dial":
		if err := dial(r.URL.Query().Get("to")); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprintln(w, "connected")
	case "/env":
		fmt.Fprintln(w, strings.Join(os.Environ(), "\n"))
	case "/metadata":
		metadata(w, r)
	case "/file":
		file(w, r)
	case "/ip":
		fmt.Fprintln(w, r.RemoteAddr)
	default:
		fmt.Fprintln(w, "ok")
	}
}
