package etcd

import (
	"context"
	"log/slog"

	"go.uber.org/zap/zapcore"
)

// bridge gives what etcd logs to slog, lower than etcd has it: what goes wrong
// for callers they are told by errors, and etcd also warns and reports errors
// about a healthy single member.
type bridge struct {
	log *slog.Logger
}

func (b *bridge) level(l zapcore.Level) slog.Level {
	switch {
	case l > zapcore.ErrorLevel: // the end of the process
		return slog.LevelError
	case l == zapcore.ErrorLevel:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// Enabled implements zapcore.Core.
func (b *bridge) Enabled(l zapcore.Level) bool {
	return b.log.Enabled(context.Background(), b.level(l)) && l >= zapcore.WarnLevel
}

// With implements zapcore.Core.
func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{log: b.log.With(attrs(fields)...)}
}

// Check implements zapcore.Core.
func (b *bridge) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(e.Level) {
		return ce.AddCore(e, b)
	}
	return ce
}

// Write implements zapcore.Core.
func (b *bridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	b.log.Log(context.Background(), b.level(e.Level), e.Message, attrs(fields)...)
	return nil
}

// Sync implements zapcore.Core.
func (b *bridge) Sync() error { return nil }

func attrs(fields []zapcore.Field) []any {
	e := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(e)
	}
	var out []any
	for k, v := range e.Fields {
		out = append(out, slog.Any(k, v))
	}
	return out
}
