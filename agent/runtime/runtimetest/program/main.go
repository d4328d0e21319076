// Program is the program in the conformance suite's image: the probe's steps,
// and those that need a kernel:
//
//	write=PATH:TEXT   write a file
//	grow=PATH:MIB     write a file of so many MiB
//	cat=PATH          print a file
//	stat=PATH         print permissions, in octal, and size
//	eat=MIB           take so much memory and touch it
//	daemon            start a child in a session of its own that stays
//	status=FIELD      print a line of /proc/self/status
//	mount             try to mount a tmpfs on /tmp
//	listen            bind a Unix socket in /dev/shm
//	limits            print resource limits
//	groups            print supplementary groups
//	ifaces            print the names of network interfaces
//	tty               print the size of the controlling terminal, rows and columns
//	winch=N           the same at each of the next N changes of it
//	line              print a line of stdin
//	mounted=PATH      print type, options and size of what is mounted there
//	device=PATH       open a device and print its numbers
//	isatty            tell whether stdin and stdout are terminals
//	reads             tell whether a read of stdin waits or ends
//	processes         print how many processes there are that have not ended
//	pid               print the process ID, and the name of process 1
//
// With "--" as its first argument it is a small init instead, that runs what
// follows.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime/runtimetest/probe"
)

func main() {
	debug.SetGCPercent(-1)
	if len(os.Args) > 1 && os.Args[1] == "--" {
		os.Exit(initProcess(os.Args[2:]))
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1)
	cwd, _ := os.Getwd()
	host, _ := os.Hostname()
	os.Exit(probe.Run(context.Background(), probe.Process{
		Args: os.Args, Env: os.Environ(), UID: os.Getuid(), GID: os.Getgid(), Cwd: cwd, Hostname: host,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals,
	}, step))
}

func step(verb, value string) error {
	switch verb {
	case "write":
		path, text, _ := strings.Cut(value, ":")
		return os.WriteFile(path, []byte(text), 0o644)
	case "grow":
		path, size, _ := strings.Cut(value, ":")
		n, err := strconv.Atoi(size)
		if err != nil {
			return err
		}
		return os.WriteFile(path, make([]byte, n<<20), 0o644)
	case "cat":
		data, err := os.ReadFile(value)
		fmt.Print(string(data))
		return err
	case "stat":
		info, err := os.Stat(value)
		if err == nil {
			fmt.Printf("%o %d\n", info.Mode().Perm(), info.Size())
		}
		return err
	case "eat":
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		mem, err := unix.Mmap(-1, 0, n<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		for i := 0; i < len(mem); i += 4096 {
			mem[i] = 1
		}
		return err
	case "daemon":
		child := exec.Command(os.Args[0], "stay")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		return child.Start()
	case "status":
		data, err := os.ReadFile("/proc/self/status")
		for line := range strings.SplitSeq(string(data), "\n") {
			if v, ok := strings.CutPrefix(line, value+":"); ok {
				fmt.Println(strings.TrimSpace(v))
			}
		}
		return err
	case "mount":
		return unix.Mount("tmpfs", "/tmp", "tmpfs", 0, "")
	case "listen":
		_, err := net.Listen("unix", "/dev/shm/socket")
		return err
	case "limits":
		var core, nofile unix.Rlimit
		err := errors.Join(unix.Getrlimit(unix.RLIMIT_CORE, &core), unix.Getrlimit(unix.RLIMIT_NOFILE, &nofile))
		// Go programs raise their own soft limit of open files.
		fmt.Printf("core %d %d, nofile at most %d\n", core.Cur, core.Max, nofile.Max)
		return err
	case "groups":
		groups, err := os.Getgroups()
		fmt.Println(groups)
		return err
	case "ifaces":
		all, err := net.Interfaces()
		for _, i := range all {
			fmt.Println(i.Name)
		}
		return err
	case "tty", "winch":
		changes := make(chan os.Signal, 16)
		signal.Notify(changes, unix.SIGWINCH)
		n, _ := strconv.Atoi(value)
		if verb == "winch" {
			fmt.Println("ready")
		}
		for range max(n, 1) {
			if verb == "winch" {
				<-changes
			}
			tty, err := os.Open("/dev/tty")
			if err != nil {
				return err
			}
			size, err := unix.IoctlGetWinsize(int(tty.Fd()), unix.TIOCGWINSZ)
			if err != nil {
				return err
			}
			fmt.Println(size.Row, size.Col)
			tty.Close()
		}
		return nil
	case "line":
		var b [1]byte
		var line []byte
		for b[0] != '\n' {
			if _, err := os.Stdin.Read(b[:]); err != nil {
				return err
			}
			line = append(line, b[0])
		}
		fmt.Printf("line %q\n", line)
		return nil
	case "mounted":
		data, err := os.ReadFile("/proc/self/mountinfo")
		for line := range strings.SplitSeq(string(data), "\n") {
			f := strings.Fields(line)
			if len(f) < 10 || f[4] != value {
				continue
			}
			sep := slices.Index(f, "-")
			sizes := ""
			for o := range strings.SplitSeq(f[sep+3], ",") {
				if strings.HasPrefix(o, "size=") {
					sizes = " " + o
				}
			}
			fmt.Printf("%s %s%s\n", f[sep+1], f[5], sizes)
		}
		return err
	case "device":
		f, err := os.OpenFile(value, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		var st unix.Stat_t
		err = unix.Fstat(int(f.Fd()), &st)
		fmt.Println(unix.Major(st.Rdev), unix.Minor(st.Rdev))
		return err
	case "isatty":
		_, in := unix.IoctlGetTermios(0, unix.TCGETS)
		_, out := unix.IoctlGetTermios(1, unix.TCGETS)
		fmt.Printf("stdin %v, stdout %v\n", in == nil, out == nil)
		return nil
	case "reads":
		said := make(chan string, 1)
		go func() {
			var b [1]byte
			os.Stdin.Read(b[:])
			said <- "ended"
		}()
		select {
		case s := <-said:
			fmt.Println(s)
		case <-time.After(300 * time.Millisecond):
			fmt.Println("waits")
		}
		return nil
	case "processes":
		files, err := filepath.Glob("/proc/[0-9]*/stat")
		n := 0
		for _, file := range files {
			if stat, err := os.ReadFile(file); err == nil && !strings.Contains(string(stat), ") Z ") {
				n++
			}
		}
		fmt.Println(n)
		return err
	case "pid":
		name, err := os.Readlink("/proc/1/exe")
		fmt.Println(os.Getpid(), name)
		return err
	}
	return fmt.Errorf("no such step")
}

// initProcess runs a program as its child, forwards signals and reaps orphans.
func initProcess(args []string) int {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1)
	child := exec.Command(args[0], args[1:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 127
	}
	go func() {
		for sig := range signals {
			child.Process.Signal(sig)
		}
	}()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if err == nil && pid == child.Process.Pid {
			if status.Signaled() {
				return 128 + int(status.Signal())
			}
			return status.ExitStatus()
		}
	}
}
