package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// field does the steps that look at what a task definition asked for:
//
//	limit=nofile    print the soft and the hard limit of open files
//	mounted=PATH    print type, options and size of what is mounted there
//	see             print all that a process can tell of where it is: see.go
//	df=PATH         print how many GiB the file system holds that is there
//	reserve=PATH:N  make a file that takes N GiB, without writing them
//	isatty          tell whether stdin and stdout are terminals
//	router          be a log router: print each record that comes to
//	                /var/run/fluent.sock and by TCP, until SIGTERM
//	forward=TEXT    send a record to the router itself
func field(verb, value string, term chan os.Signal) (known bool, err error) {
	switch verb {
	case "limit":
		var l unix.Rlimit
		err = unix.Getrlimit(unix.RLIMIT_NOFILE, &l)
		fmt.Printf("%s %d\n", value, l.Max) // Go programs raise the soft one themselves
	case "mounted":
		b, err := os.ReadFile("/proc/mounts")
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 3 && f[1] == value {
				fmt.Println("mounted", f[2], f[3])
			}
		}
		return true, err
	case "see":
		return true, see()
	case "df":
		var s unix.Statfs_t
		err := unix.Statfs(value, &s)
		fmt.Printf("holds %.1f GiB\n", float64(s.Blocks)*float64(s.Bsize)/(1<<30))
		return true, err
	case "reserve":
		path, size, _ := strings.Cut(value, ":")
		n, err := strconv.Atoi(size)
		if err != nil {
			return true, err
		}
		f, err := os.Create(path)
		if err != nil {
			return true, err
		}
		fmt.Printf("reserved %d GiB: %v\n", n, unix.Fallocate(int(f.Fd()), 0, 0, int64(n)<<30))
		return true, f.Close()
	case "isatty":
		_, in := unix.IoctlGetTermios(0, unix.TCGETS)
		_, out := unix.IoctlGetTermios(1, unix.TCGETS)
		fmt.Printf("stdin %v, stdout %v\n", in == nil, out == nil)
	case "forward":
		return true, forward(value)
	case "router":
		return true, route(term)
	default:
		return false, nil
	}
	return true, err
}
