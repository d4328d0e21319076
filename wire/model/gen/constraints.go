package main

// constraints returns the inputs of ops and the shapes that have rules, or that lead to
// some.
func constraints(a *api, ops []string) []section {
	inputs, shapes := map[string]any{}, map[string]any{}
	keep := map[string]bool{}
	visiting := map[string]bool{}
	var visit func(name string) bool
	visit = func(name string) bool {
		if k, ok := keep[name]; ok {
			return k
		}
		if visiting[name] { // it contains itself: kept if anything else in it is
			return false
		}
		visiting[name] = true
		s := a.Shapes[name]
		c := map[string]any{}
		if s.Min != nil {
			c["min"] = *s.Min
		}
		if s.Max != nil && *s.Max < 1<<53 {
			c["max"] = *s.Max
		}
		if s.Pattern != "" && s.Pattern != `[\S\s]*` && s.Pattern != ".*" && s.Pattern != `[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t\n\r]*` { // not those that match all
			c["pattern"] = s.Pattern
		}
		if len(s.Enum) > 0 {
			c["enum"] = s.Enum
		}
		if len(s.Required) > 0 {
			c["required"] = s.Required
		}
		members := map[string]string{}
		for m, r := range s.Members {
			if visit(r.Shape) {
				members[m] = r.Shape
			}
		}
		if len(members) > 0 {
			c["members"] = members
		}
		for k, r := range map[string]*ref{"member": s.Member, "key": s.Key, "value": s.Value} {
			if r != nil && visit(r.Shape) {
				c[k] = r.Shape
			}
		}
		keep[name] = len(c) > 0
		if keep[name] {
			c["type"] = s.Type
			shapes[name] = c
		}
		return keep[name]
	}
	for _, op := range ops {
		if o := a.Operations[op]; o.Input != nil && visit(o.Input.Shape) {
			inputs[op] = o.Input.Shape
		}
	}
	return []section{{name: "inputs", lines: inputs}, {name: "shapes", lines: shapes}}
}
