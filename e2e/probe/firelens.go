package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// route is a log router. It listens where its configuration says, on the socket
// and on TCP.
func route(term chan os.Signal) error {
	var listeners []net.Listener
	l, err := net.Listen("unix", "/var/run/fluent.sock")
	if err != nil {
		return err
	}
	listeners = append(listeners, l)
	conf, err := os.ReadFile("/fluent-bit/etc/fluent-bit.conf")
	if err != nil {
		return err
	}
	settings := map[string]string{}
	for line := range strings.Lines(string(conf)) {
		if f := strings.Fields(line); len(f) == 2 && settings[f[0]] == "" {
			settings[f[0]] = f[1]
		}
	}
	if l, err = net.Listen("tcp4", settings["Listen"]+":"+settings["Port"]); err != nil {
		return err
	}
	listeners = append(listeners, l)
	fmt.Println("routing")
	for _, l := range listeners {
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go printRecords(conn)
			}
		}()
	}
	fmt.Printf("got %v\n", <-term)
	return nil
}

func printRecords(conn net.Conn) {
	for r := msgp.NewReader(conn); ; {
		record, err := r.ReadIntf()
		if err != nil {
			return
		}
		parts := record.([]any)
		fields := parts[len(parts)-2].(map[string]any)
		fmt.Printf("record %v %v %v\n", parts[0], fields["source"], fields["log"])
	}
}

// forward sends a record to the router itself, whose address the environment has.
func forward(text string) error {
	to := net.JoinHostPort(os.Getenv("FLUENT_HOST"), os.Getenv("FLUENT_PORT"))
	var conn net.Conn
	var err error
	for range 100 { // until the router listens
		if conn, err = net.DialTimeout("tcp", to, time.Second); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	w := msgp.NewWriter(conn)
	err = w.WriteIntf([]any{"direct", time.Now().Unix(), map[string]any{"source": "itself", "log": text}, map[string]any{}})
	return cmp.Or(err, errors.Join(w.Flush(), conn.Close()))
}
