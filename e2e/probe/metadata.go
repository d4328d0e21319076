package main

import (
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// metadata asks the container's own metadata endpoint for a path, or another URL
// if one is given, and passes the answer on.
func metadata(w http.ResponseWriter, r *http.Request) {
	url := os.Getenv("ECS_CONTAINER_METADATA_URI_V4") + r.URL.Query().Get("path")
	if other := r.URL.Query().Get("url"); other != "" {
		url = other
	}
	client := http.Client{Timeout: 3 * time.Second}
	ask, err := http.NewRequest(r.Method, url, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	res, err := client.Do(ask)
	if err != nil {
		http.Error(w, strings.TrimSpace(err.Error()), http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	w.WriteHeader(res.StatusCode)
	io.Copy(w, res.Body)
}

// file passes on the file that an environment variable names.
func file(w http.ResponseWriter, r *http.Request) {
	b, err := os.ReadFile(os.Getenv(r.URL.Query().Get("env")))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Write(b)
}
