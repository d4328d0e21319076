package main

import (
	"strings"
	"unicode"
)

// ec2Names returns, by Go struct and field, the names of members in ec2Query where
// they differ from the rule: in a response the field's name with a small first
// letter, in a request the response's name with a capital one, and <item> for items.
func ec2Names(a *api, ops []string) map[string]any {
	names := map[string]any{}
	done := map[string]bool{}
	var visit func(shapeName, goName string)
	visit = func(shapeName, goName string) {
		s := a.Shapes[shapeName]
		if done[goName+"/"+shapeName] {
			return
		}
		done[goName+"/"+shapeName] = true
		switch s.Type {
		case "list":
			visit(s.Member.Shape, s.Member.Shape)
		case "map":
			visit(s.Value.Shape, s.Value.Shape)
		case "structure":
			fields := map[string]any{}
			for m, r := range s.Members {
				if n := ec2Name(a, m, r, strings.HasSuffix(goName, "Input")); len(n) > 0 {
					fields[upper(m)] = n
				}
				visit(r.Shape, r.Shape)
			}
			if len(fields) > 0 {
				names[goName] = fields
			}
		}
	}
	for _, op := range ops {
		if in := a.Operations[op].Input; in != nil {
			visit(in.Shape, op+"Input")
		}
		if out := a.Operations[op].Output; out != nil {
			visit(out.Shape, op+"Output")
		}
	}
	return names
}

// ec2Name returns the names of a member that differ from the rule. An operation's
// input is only ever a request.
func ec2Name(a *api, member string, r ref, input bool) map[string]string {
	n := map[string]string{}
	xml := r.LocationName
	if xml == "" {
		xml = member
	}
	byRule := upper(member) // what the reader makes of it
	if !input && xml != lower(member) {
		n["xml"] = xml
		byRule = upper(xml)
	}
	query := r.QueryName
	if query == "" {
		query = upper(xml)
	}
	if query != byRule {
		n["query"] = query
	}
	if s := a.Shapes[r.Shape]; s.Type == "list" && !input {
		item := s.Member.LocationName
		if item == "" {
			item = "member"
		}
		if item != "item" {
			n["item"] = item
		}
	}
	return n
}

func upper(s string) string {
	r := []rune(s)
	r[0] = unicode.ToUpper(r[0])
	return string(r)
}

func lower(s string) string {
	r := []rune(s)
	r[0] = unicode.ToLower(r[0])
	return string(r)
}
