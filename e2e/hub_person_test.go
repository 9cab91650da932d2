//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// person is somebody with a browser's cookies in front of a hub.
type person struct {
	t      testing.TB
	h      *hub
	name   string
	client *http.Client // follows nothing
	from   string       // the page on which links are clicked; "": none
}

// page is an answer.
type page struct {
	code     int
	location string
	text     string
}

func (h *hub) person(name string) *person {
	jar, err := cookiejar.New(nil)
	must(h.t, err)
	return &person{t: h.t, h: h, name: name, client: &http.Client{
		Jar: jar, Timeout: 2 * time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// try asks for a path of the hub; what is no address is a form, or JSON.
func (p *person) try(method, path string, body any) (page, error) {
	req, err := http.NewRequest(method, p.address(path), nil)
	if err != nil {
		return page{}, err
	}
	switch b := body.(type) {
	case url.Values:
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(b.Encode())), int64(len(b.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case nil:
	default:
		data, err := json.Marshal(b)
		if err != nil {
			return page{}, err
		}
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("X-XSRFToken", p.xsrf(req.URL.Path))
	if p.from != "" {
		req.Header.Set("Referer", p.h.url+p.from)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return page{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return page{resp.StatusCode, resp.Header.Get("Location"), string(text)}, err
}

func (p *person) address(path string) string {
	if strings.HasPrefix(path, "http") {
		return path
	}
	return p.h.url + path
}

func (p *person) do(method, path string, body any) page {
	p.t.Helper()
	got, err := p.try(method, path, body)
	must(p.t, err)
	return got
}

// follow gets a path, and what it leads to.
func (p *person) follow(path string) page {
	p.t.Helper()
	at, err := url.Parse(p.address(path))
	must(p.t, err)
	for range 12 {
		got := p.do(http.MethodGet, at.String(), nil)
		if got.code/100 != 3 {
			got.location = at.String()
			return got
		}
		at, err = at.Parse(got.location)
		must(p.t, err)
	}
	p.t.Fatalf("%s leads nowhere", path)
	return page{}
}

// xsrf is the cookie of that name: there is one for the hub and one for each
// server, told apart by their paths.
func (p *person) xsrf(path string) string {
	at, _ := url.Parse(p.h.url + path)
	for _, c := range p.client.Jar.Cookies(at) {
		if c.Name == "_xsrf" {
			return c.Value
		}
	}
	return ""
}

// form fetches a page of the hub and sends the form on it.
func (p *person) form(path string, fields url.Values) page {
	p.t.Helper()
	if got := p.follow(path); got.code != http.StatusOK {
		p.t.Fatalf("%s: %d", path, got.code)
	}
	fields.Set("_xsrf", p.xsrf("/hub/"))
	return p.do(http.MethodPost, path, fields)
}

// login by the hub's form.
func (p *person) login() *person {
	p.t.Helper()
	return p.loginBy(hubPassword)
}

func (p *person) loginBy(password string) *person {
	p.t.Helper()
	got := p.form("/hub/login", url.Values{"username": {p.name}, "password": {password}})
	if got.code != http.StatusFound {
		p.t.Fatalf("login of %s: %d", p.name, got.code)
	}
	return p
}

// spawn starts a server as the browser does, enters it, and gives what the
// spawn page said meanwhile.
func (p *person) spawn(server string) (said []string) {
	p.t.Helper()
	got, said := p.trySpawn(server)
	if got.code != http.StatusFound {
		p.t.Fatalf("the server of %s did not start: %d %s\n%q", p.name, got.code, alertOf(got.text), said)
	}
	if lab := p.follow(p.server(server) + "lab"); lab.code != http.StatusOK {
		p.t.Fatalf("%s: %d", lab.location, lab.code)
	}
	return said
}

// trySpawn gives the last page, which is the way to the server or an error,
// and what the spawn page said.
func (p *person) trySpawn(server string) (last page, said []string) {
	p.t.Helper()
	name := strings.TrimSuffix(p.name+"/"+server, "/")
	if last = p.do(http.MethodGet, "/hub/spawn/"+name, nil); last.code != http.StatusFound {
		return last, nil
	}
	said = p.progress(server)
	return p.do(http.MethodGet, "/hub/spawn-pending/"+name, nil), said
}

var alert = regexp.MustCompile(`(?s)<(?:p|div)[^>]*class="[^"]*(?:alert|error|text-center)[^"]*"[^>]*>(.*?)</(?:p|div)>`)

// alertOf is what an error page says.
func alertOf(html string) string {
	var said []string
	for _, m := range alert.FindAllStringSubmatch(html, -1) {
		said = append(said, strings.Join(strings.Fields(m[1]), " "))
	}
	return strings.Join(said, " | ")
}

// server is the path of a server, with a last slash.
func (p *person) server(name string) string {
	if name != "" {
		name += "/"
	}
	return "/user/" + p.name + "/" + name
}

// progress reads what the spawn page shows, to the end of the start.
func (p *person) progress(server string) (said []string) {
	p.t.Helper()
	part := "/server"
	if server != "" {
		part = "/servers/" + server
	}
	req, err := http.NewRequest(http.MethodGet, p.h.url+"/hub/api/users/"+p.name+part+"/progress?_xsrf="+url.QueryEscape(p.xsrf("/hub/")), nil)
	must(p.t, err)
	resp, err := p.client.Do(req)
	must(p.t, err)
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		var event struct {
			Message       string
			Ready, Failed bool
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && json.Unmarshal([]byte(data), &event) == nil {
			said = append(said, event.Message)
			if event.Ready || event.Failed {
				return said
			}
		}
	}
	p.t.Fatalf("progress: %d, ended after %q", resp.StatusCode, said)
	return nil
}

// kernel begins one and gives its id.
func (p *person) kernel(server, kind, folder string) string {
	p.t.Helper()
	got := p.do(http.MethodPost, p.server(server)+"api/kernels", map[string]string{"name": kind, "path": folder})
	var k struct{ ID string }
	if err := json.Unmarshal([]byte(got.text), &k); err != nil || k.ID == "" {
		p.t.Fatalf("a kernel %s: %d %s", kind, got.code, got.text)
	}
	return k.ID
}

// run runs cells in a kernel by the server's websocket, and gives what they
// print.
func (p *person) run(server, kernel string, cells ...string) string {
	p.t.Helper()
	at, err := url.Parse(p.h.url + p.server(server))
	must(p.t, err)
	var cookies []string
	for _, c := range p.client.Jar.Cookies(at) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	channels := "ws://" + at.Host + at.Path + "api/kernels/" + kernel + "/channels"
	script, err := filepath.Abs("testdata/hub/run_cells.py")
	must(p.t, err)
	c := exec.Command(hubProgram(p.t, "6.1.1", "python"), script, channels, p.h.url)
	input, err := json.Marshal(map[string]any{"cookie": strings.Join(cookies, "; "), "cells": cells})
	must(p.t, err)
	c.Stdin = bytes.NewReader(input)
	return mustRun(p.t, c)
}

// code gives the code cells of a notebook that was delivered, and its kernel.
func (p *person) code(path string) (kernel string, cells []string) {
	p.t.Helper()
	var nb struct {
		Cells []struct {
			Type   string `json:"cell_type"`
			Source json.RawMessage
		}
		Metadata struct{ Kernelspec struct{ Name string } }
	}
	must(p.t, json.Unmarshal([]byte(readFile(p.t, p.h.home(p.name, path))), &nb))
	for _, c := range nb.Cells {
		var lines []string
		if c.Type == "code" {
			must(p.t, json.Unmarshal(c.Source, &lines))
			cells = append(cells, strings.Join(lines, ""))
		}
	}
	return nb.Metadata.Kernelspec.Name, cells
}
