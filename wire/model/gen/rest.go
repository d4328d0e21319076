package main

import (
	"cmp"
	"slices"
	"strings"
)

// routes returns where the operations of a REST service are. Roots names the root
// elements of answers that are not the output struct's name.
func routes(a *api, ops []string, roots map[string]string) map[string]any {
	all := map[string]any{}
	for _, op := range ops {
		o, ok := a.Operations[op]
		if !ok {
			continue // newer than the model: patch.json may have it
		}
		f := map[string]any{"method": o.HTTP.Method, "uri": o.HTTP.RequestURI}
		if o.HTTP.ResponseCode != 0 && o.HTTP.ResponseCode != 200 {
			f["code"] = o.HTTP.ResponseCode
		}
		if root := roots[op]; root != "" {
			f["root"] = root
		}
		if o.Input != nil {
			var needs []string
			s := a.Shapes[o.Input.Shape]
			for _, m := range s.Required {
				switch r := s.Members[m]; r.Location {
				case "querystring":
					needs = append(needs, "?"+cmp.Or(r.LocationName, m))
				case "header":
					needs = append(needs, cmp.Or(r.LocationName, m))
				}
			}
			for m, r := range s.Members { // labels are named as members are
				if r.Location == "uri" {
					f["uri"] = strings.NewReplacer("{"+r.LocationName+"}", "{"+m+"}", "{"+r.LocationName+"+}", "{"+m+"+}").Replace(f["uri"].(string))
				}
			}
			if slices.Sort(needs); needs != nil {
				f["needs"] = needs
			}
		}
		all[op] = f
	}
	return all
}

// restNames returns, by Go struct and field, where members are in HTTP messages and
// documents, for modules whose structs don't say.
func restNames(a *api, ops []string) map[string]any {
	names := map[string]any{}
	var visit func(shapeName, goName string)
	visit = func(shapeName, goName string) {
		s := a.Shapes[shapeName]
		switch s.Type {
		case "list":
			visit(s.Member.Shape, s.Member.Shape)
		case "structure":
			if _, done := names[goName]; done {
				return
			}
			fields := map[string]any{}
			names[goName] = fields
			for m, r := range s.Members {
				n := restName(a, m, r)
				if s.Payload == m {
					n["in"] = "payload"
				}
				if len(n) > 0 {
					fields[upper(m)] = n
				}
				visit(r.Shape, r.Shape)
			}
		}
	}
	for _, op := range ops {
		o := a.Operations[op]
		if o.Input != nil {
			visit(o.Input.Shape, op+"Input")
		}
		if o.Output != nil {
			visit(o.Output.Shape, op+"Output")
		}
	}
	for s, fields := range names {
		if len(fields.(map[string]any)) == 0 {
			delete(names, s)
		}
	}
	return names
}

func restName(a *api, member string, r ref) map[string]any {
	s := a.Shapes[r.Shape]
	n := map[string]any{}
	if r.Location != "" {
		n["in"] = r.Location
	}
	if wire := cmp.Or(r.LocationName, member); wire != upper(member) {
		n["xml"] = wire
	}
	if s.Type == "list" {
		if s.Flattened || r.Flattened {
			n["flat"] = true
		}
		if item := s.Member.LocationName; item != "" && item != "member" {
			n["item"] = item
		}
	}
	if r.XMLAttribute {
		n["attr"] = true
	}
	if f := cmp.Or(r.TimestampFormat, s.TimestampFormat); s.Type == "timestamp" && f != "" {
		n["time"] = map[string]string{"iso8601": "date-time", "rfc822": "http-date", "unixTimestamp": "epoch-seconds"}[f]
	}
	return n
}

// s3Roots are the root elements of S3's answers, from the examples of the Amazon S3 API
// Reference: botocore's models don't tell them.
func s3Roots() map[string]string {
	return pairs(`ListBuckets ListAllMyBucketsResult  ListObjects ListBucketResult  ListObjectsV2 ListBucketResult
		ListObjectVersions ListVersionsResult  GetBucketLocation LocationConstraint  DeleteObjects DeleteResult
		CreateMultipartUpload InitiateMultipartUploadResult  CompleteMultipartUpload CompleteMultipartUploadResult
		ListParts ListPartsResult  ListMultipartUploads ListMultipartUploadsResult  GetBucketAcl AccessControlPolicy
		GetObjectAcl AccessControlPolicy  GetBucketTagging Tagging  GetObjectTagging Tagging
		GetBucketVersioning VersioningConfiguration  GetObjectAttributes GetObjectAttributesResponse`)
}

func pairs(text string) map[string]string {
	m := map[string]string{}
	f := strings.Fields(text)
	for i := 0; i+1 < len(f); i += 2 {
		m[f[i]] = f[i+1]
	}
	return m
}
