package main

import "testing"

func TestVisitsOfProgramsAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		visit visit
		want  bool
	}{
		"a person reads a page":                     {visit{pages: 1, parts: 12, referred: 12, seconds: 4}, false},
		"a person reads long":                       {visit{pages: 40, parts: 90, referred: 120, seconds: 1200}, false},
		"a bookmark":                                {visit{pages: 4}, false},
		"an agent with the name of a program":       {visit{named: true, pages: 1, parts: 3, referred: 3, seconds: 60}, true},
		"robots.txt":                                {visit{rules: true, pages: 1}, true},
		"pages alone, from nowhere":                 {visit{pages: 5, seconds: 600}, true},
		"pages alone, from a link":                  {visit{pages: 5, referred: 1, seconds: 600}, false},
		"pages alone, but for an image":             {visit{pages: 5, parts: 1, seconds: 600}, false},
		"half a page a second":                      {visit{pages: 30, parts: 1, referred: 1, seconds: 60}, false},
		"more than that":                            {visit{pages: 31, parts: 1, referred: 1, seconds: 60}, true},
		"five pages at once":                        {visit{pages: 5, parts: 9, referred: 9}, true},
		"four pages at once, of a restored browser": {visit{pages: 4, parts: 9, referred: 9}, false},
	} {
		if got := c.visit.isBot(); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestAgentsThatNamePrograms(t *testing.T) {
	for agent, want := range map[string]bool{
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": true,
		"Mozilla/5.0 (compatible; Baiduspider/2.0)":                                true,
		"UniversalFeedParser/4.2-pre-314-svn":                                      true,
		"Tiny Tiny RSS/1.11":                                                       true,
		"curl/7.19.7":                                                              true,
		"-":                                                                        true,
		"":                                                                         true,
		"Mozilla/5.0 (X11; Linux x86_64; rv:27.0) Gecko/20100101 Firefox/27.0":       false,
		"Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 (KHTML, like Gecko)": false,
	} {
		if got := namesProgram(agent); got != want {
			t.Errorf("%q: got %v, want %v", agent, got, want)
		}
	}
	for path, want := range map[string]bool{"/robots.txt": true, "/robots.txt?x": true, "/robots.txt.html": false, "/": false} {
		if got := asksForRules(path); got != want {
			t.Errorf("%q: got %v, want %v", path, got, want)
		}
	}
}
