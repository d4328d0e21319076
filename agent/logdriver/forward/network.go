package forward

import (
	"compress/flate"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/Graylog2/go-gelf/gelf"
	"github.com/RackSec/srslog"
	"github.com/coreos/go-systemd/v22/journal"
	"github.com/fluent/fluent-logger-golang/fluent"

	"github.com/berth/berth/state"
)

// facilities are syslog's, by name (RFC 5424, table 1).
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "", "", "", "",
	"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

type syslog struct {
	w      *srslog.Writer
	format func(at time.Time) srslog.Formatter
}

func openSyslog(m *message) (driver, error) {
	facility := -1
	for i, name := range facilities {
		if want := m.option("syslog-facility", "daemon"); name != "" && (want == name || want == strconv.Itoa(i)) {
			facility = i
		}
	}
	if facility < 0 {
		return nil, fmt.Errorf("log option syslog-facility=%s: there is no such facility", m.Options["syslog-facility"])
	}
	d := &syslog{}
	framer := srslog.DefaultFramer
	protocol, target := "", "" // the host's own
	var err error
	if text := m.Options["syslog-address"]; text != "" {
		if protocol, target, err = address("syslog-address", text, "514", "tcp", "tcp+tls", "udp", "unix", "unixgram"); err != nil {
			return nil, err
		}
	}
	switch format := m.option("syslog-format", ""); format {
	case "":
		d.format = stamped(time.Stamp, m.host, "<%[1]d>%[2]s %[4]s[%[5]d]: %[6]s")
	case "rfc3164":
		d.format = stamped(time.Stamp, m.host, "<%[1]d>%[2]s %[3]s %[4]s[%[5]d]: %[6]s")
	case "rfc5424", "rfc5424micro":
		stamp := time.RFC3339
		if format == "rfc5424micro" {
			stamp = "2006-01-02T15:04:05.000000Z07:00"
		}
		d.format = stamped(stamp, m.host, "<%[1]d>1 %[2]s %[3]s %[4]s %[5]d %[4]s - %[6]s")
		if protocol == "tcp+tls" {
			framer = srslog.RFC5425MessageLengthFramer
		}
	default:
		return nil, fmt.Errorf("log option syslog-format=%s: must be rfc3164, rfc5424 or rfc5424micro", format)
	}
	priority := srslog.Priority(facility << 3)
	if protocol == "tcp+tls" {
		config, err := tlsConfig(m)
		if err != nil {
			return nil, err
		}
		d.w, err = srslog.DialWithTLSConfig("tcp+tls", target, priority, m.tag, config)
		if err != nil {
			return nil, err
		}
	} else if d.w, err = srslog.Dial(protocol, target, priority, m.tag); err != nil {
		return nil, err
	}
	d.w.SetFramer(framer)
	return d, nil
}

func tlsConfig(m *message) (*tls.Config, error) {
	skip := m.Options["syslog-tls-skip-verify"] != ""
	config := &tls.Config{InsecureSkipVerify: skip}
	if file := m.Options["syslog-tls-ca-cert"]; file != "" && !skip {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("log option syslog-tls-ca-cert: %w", err)
		}
		if config.RootCAs, err = roots(pem); err != nil {
			return nil, fmt.Errorf("log option syslog-tls-ca-cert=%s: %w", file, err)
		}
	}
	if file := m.Options["syslog-tls-cert"]; file != "" {
		pair, err := tls.LoadX509KeyPair(file, m.Options["syslog-tls-key"])
		if err != nil {
			return nil, fmt.Errorf("log options syslog-tls-cert and syslog-tls-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// stamped formats with the time at which the line was printed, not sent.
func stamped(layout, host, form string) func(at time.Time) srslog.Formatter {
	pid := os.Getpid()
	return func(at time.Time) srslog.Formatter {
		return func(p srslog.Priority, _, tag, content string) string {
			return fmt.Sprintf(form, p, at.Format(layout), host, tag, pid, content)
		}
	}
}

func (d *syslog) write(events []state.LogEvent) error {
	for _, e := range events {
		d.w.SetFormatter(d.format(e.Time))
		send := d.w.Info
		if e.Stderr {
			send = d.w.Err
		}
		if err := send(e.Message); err != nil {
			return err
		}
	}
	return nil
}

func (d *syslog) close() error { return d.w.Close() }

type fluentd struct {
	*message
	w   *fluent.Fluent
	dir *os.File // of the socket; nil without one
}

func openFluentd(m *message) (driver, error) {
	c := fluent.Config{Timeout: 10 * time.Second, MaxRetry: 1, RetryWait: 100}
	text := m.option("fluentd-address", "tcp://127.0.0.1:24224")
	if !strings.Contains(text, "://") {
		text = "tcp://" + text
	}
	protocol, target, err := address("fluentd-address", text, "24224", "tcp", "tls", "unix")
	if err != nil {
		return nil, err
	}
	c.FluentNetwork = protocol
	var dir *os.File
	if protocol == "unix" {
		// An address has room for some hundred characters, a data directory may have
		// more: by way of its directory it is short.
		if dir, err = os.Open(filepath.Dir(target)); err != nil {
			return nil, err
		}
		c.FluentSocketPath = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(target))
	} else {
		host, port, err := net.SplitHostPort(target)
		if err != nil {
			return nil, err
		}
		c.FluentHost = host
		if c.FluentPort, err = strconv.Atoi(port); err != nil {
			return nil, fmt.Errorf("log option fluentd-address=%s: %w", text, err)
		}
	}
	if c.SubSecondPrecision, err = m.yes("fluentd-sub-second-precision"); err != nil {
		return nil, err
	}
	if c.RequestAck, err = m.yes("fluentd-request-ack"); err != nil {
		return nil, err
	}
	if c.WriteTimeout, err = m.duration("fluentd-write-timeout", 30*time.Second); err != nil {
		return nil, err
	}
	c.ReadTimeout = c.WriteTimeout
	w, err := fluent.New(c)
	if err != nil {
		dir.Close()
		return nil, err
	}
	return &fluentd{m, w, dir}, nil
}

func (d *fluentd) write(events []state.LogEvent) error {
	for _, e := range events {
		fields := map[string]string{"container_id": d.Source.ContainerID, "container_name": "/" + d.name(), "source": stream(e), "log": e.Message}
		maps.Copy(fields, d.extra)
		if err := d.w.PostWithTime(d.tag, e.Time, fields); err != nil {
			return err
		}
	}
	return nil
}

func (d *fluentd) close() error {
	d.dir.Close()
	return d.w.Close()
}

type graylog struct {
	*message
	w     gelf.Writer
	extra json.RawMessage
}

func openGelf(m *message) (driver, error) {
	protocol, target, err := address("gelf-address", m.Options["gelf-address"], "12201", "udp", "tcp")
	if err != nil {
		return nil, err
	}
	fields := map[string]string{
		"_container_id": m.Source.ContainerID, "_container_name": m.name(), "_image_name": m.Source.Image, "_tag": m.tag,
	}
	for k, v := range m.extra {
		fields["_"+k] = v
	}
	extra, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	d := &graylog{message: m, extra: extra}
	if protocol == "tcp" {
		w, err := gelf.NewTCPWriter(target)
		if err != nil {
			return nil, err
		}
		w.MaxReconnect = 1 // whoever writes tries again
		d.w = w
		return d, nil
	}
	w, err := gelf.NewUDPWriter(target)
	if err != nil {
		return nil, err
	}
	d.w = w
	if w.CompressionLevel, err = m.number("gelf-compression-level", flate.BestSpeed); err != nil {
		return nil, err
	}
	switch kind := m.option("gelf-compression-type", "gzip"); kind {
	case "gzip":
		w.CompressionType = gelf.CompressGzip
	case "zlib":
		w.CompressionType = gelf.CompressZlib
	case "none":
		w.CompressionType = gelf.CompressNone
	default:
		return nil, fmt.Errorf("log option gelf-compression-type=%s: must be gzip, zlib or none", kind)
	}
	return d, nil
}

func (d *graylog) write(events []state.LogEvent) error {
	for _, e := range events {
		level := int32(gelf.LOG_INFO)
		if e.Stderr {
			level = gelf.LOG_ERR
		}
		if err := d.w.WriteMessage(&gelf.Message{
			Version: "1.1", Host: d.host, Short: e.Message, TimeUnix: float64(e.Time.UnixMilli()) / 1000, Level: level, RawExtra: d.extra,
		}); err != nil {
			return err
		}
	}
	return nil
}

func (d *graylog) close() error { return d.w.Close() }

type journald struct{ fields map[string]string }

func openJournald(m *message) (driver, error) {
	if !journal.Enabled() {
		return nil, errors.New("journald is not enabled on this host: /run/systemd/journal/socket is not there")
	}
	d := &journald{fields: map[string]string{
		"CONTAINER_ID": short(m.Source.ContainerID), "CONTAINER_ID_FULL": m.Source.ContainerID, "CONTAINER_NAME": m.name(), "CONTAINER_TAG": m.tag,
		"IMAGE_NAME": m.Source.Image, "SYSLOG_IDENTIFIER": m.tag,
	}}
	for k, v := range m.extra {
		d.fields[journalField(k)] = v
	}
	return d, nil
}

// journalField makes a name of letters, digits and underscores, in capitals.
func journalField(name string) string {
	return strings.TrimLeft(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, name), "_0123456789")
}

func (d *journald) write(events []state.LogEvent) error {
	for _, e := range events {
		fields := maps.Clone(d.fields)
		fields["SYSLOG_TIMESTAMP"] = e.Time.UTC().Format(time.RFC3339Nano)
		priority := journal.PriInfo
		if e.Stderr {
			priority = journal.PriErr
		}
		if err := journal.Send(e.Message, priority, fields); err != nil {
			return err
		}
	}
	return nil
}

func (d *journald) close() error { return nil }

func roots(pem []byte) (*x509.CertPool, error) {
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(pem) {
		return nil, errors.New("has no certificate in PEM")
	}
	return p, nil
}
