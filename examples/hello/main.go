// Hello is a small web server to try Berth with: it answers every request with
// who it is and where, and says each one on its standard output.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	log.SetFlags(0)
	log.SetOutput(os.Stdout)
	host, err := os.Hostname()
	if err != nil {
		log.Fatalf("ask for the host name: %v", err)
	}
	server := &http.Server{Addr: ":80", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log.Printf("%s %s from %s", r.Method, r.URL.Path, r.RemoteAddr)
		fmt.Fprintf(w, "%s from %s at %s\n", greeting(), host, addresses())
	})}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, func() {
		log.Print("stopping")
		server.Shutdown(context.Background())
	})
	log.Printf("listening on %s as %s", server.Addr, host)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatalf("serve: %v", err)
	}
}

// greeting is what GREETING says in the environment, or a default.
func greeting() string {
	if g := os.Getenv("GREETING"); g != "" {
		return g
	}
	return "Hello"
}

// addresses lists the addresses of all interfaces but loopback.
func addresses() []string {
	var out []string
	all, err := net.InterfaceAddrs()
	if err != nil {
		return []string{err.Error()}
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			out = append(out, n.IP.String())
		}
	}
	return out
}
