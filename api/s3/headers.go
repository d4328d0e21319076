package s3

import (
	"net/http"
	"time"

	"github.com/berth/berth/blobstore"
)

// The headers that are kept with an object.
const (
	cacheControl       = "Cache-Control"
	contentDisposition = "Content-Disposition"
	contentEncoding    = "Content-Encoding"
	contentLanguage    = "Content-Language"
	contentType        = "Content-Type"
	expires            = "Expires"
	redirect           = "x-amz-website-redirect-location"
)

// kept is a header and its value, nil if it is not set.
type kept struct {
	name  string
	value *string
}

// keep returns the headers that are set.
func keep(all ...kept) map[string]string {
	h := map[string]string{}
	for _, k := range all {
		if k.value != nil && *k.value != "" {
			h[k.name] = *k.value
		}
	}
	return h
}

// httpDate writes a time as in headers.
func httpDate(t *time.Time) *string {
	if t == nil {
		return nil
	}
	s := t.UTC().Format(http.TimeFormat)
	return &s
}

func header(o blobstore.Object, name string) *string {
	if v, ok := o.Headers[name]; ok {
		return &v
	}
	return nil
}
