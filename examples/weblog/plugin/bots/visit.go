package main

import "strings"

// visit is what a session comes to.
type visit struct {
	named    bool // the agent calls itself a program
	rules    bool // robots.txt was asked for
	pages    int64
	parts    int64 // what pages are made of, and all else that is no page
	referred int64 // requests that name where they come from
	seconds  int64 // from the first request to the last
}

const (
	fewPages = 5  // up to so many say nothing
	minute   = 60 // seconds
	tooMany  = 30 // pages a minute
)

// isBot decides. A browser fetches what its pages are made of and names where a
// request comes from; a person takes two seconds for a page.
func (v visit) isBot() bool {
	return v.named || v.rules ||
		v.pages >= fewPages && v.parts == 0 && v.referred == 0 ||
		v.pages >= fewPages && v.pages*minute > tooMany*max(v.seconds, 1)
}

// programs are words in names of agents that no browser has in its own.
var programs = []string{"bot", "crawl", "spider", "slurp", "feed", "rss", "wget", "curl", "python", "ruby", "java/", "http_"}

// namesProgram tells whether an agent calls itself a program, or nothing at all.
func namesProgram(agent string) bool {
	agent = strings.ToLower(agent)
	for _, word := range programs {
		if strings.Contains(agent, word) {
			return true
		}
	}
	return agent == "" || agent == "-"
}

// asksForRules tells whether a path is that of the rules for robots.
func asksForRules(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	return path == "/robots.txt"
}
