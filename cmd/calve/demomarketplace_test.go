package main

import (
	"maps"
	"path/filepath"
	"testing"
)

func TestDemoSharesWatchesOutAmongCategories(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	demo := wantDemo(t, dir, "marketplace")
	// One record is a tombstone.
	if demo.RowsIn != 3037 || demo.RowsOut != 3036 || demo.Rejects != 0 {
		t.Errorf("got %+v, want 3037 rows in and one of them a tombstone", demo)
	}
	watches := sampled(t, dir, "marts.fct_watches", 10_000)
	mapped := sampled(t, dir, "marts.bridge_livestream_categories", 1000)
	names := map[any]any{}
	for _, c := range sampled(t, dir, "marts.dim_categories", 1000) {
		names[c["category_key"]] = c["category_name"]
	}
	if len(watches) != 3000 || len(mapped) != 23 || len(names) != 10 {
		t.Errorf("got %d watches, %d mappings and %d categories; want 3000, 23 and 10", len(watches), len(mapped), len(names))
	}

	// What is wanted was computed from the files of data/ in Python.
	byCategory, byGroup := map[any]float64{}, map[any]float64{}
	for _, w := range watches {
		seconds, at := w["seconds"].(float64), w["started_at"].(string)
		byGroup[w["found_in_group"]] += seconds
		for _, m := range mapped {
			if m["livestream_durable_key"] == w["livestream_durable_key"] && m["valid_from"].(string) <= at && at < m["valid_to"].(string) {
				byCategory[names[m["category_key"]]] += seconds * m["weight"].(float64)
			}
		}
	}
	if want := (map[any]float64{
		"Chess": 465198.5, "Cooking": 438313.25, "Gardening": 226284.5, "Guitar": 512944.5, "Origami": 25377,
		"Pottery": 421892.5, "Running": 88442.25, "Sewing": 268916.25, "Yoga and Pilates": 250109.25,
	}); !maps.Equal(byCategory, want) {
		t.Errorf("seconds by category: got %v, want %v", byCategory, want)
	}
	if want := (map[any]float64{
		"art": 316553, "crafts": 196380, "food": 340165, "games": 388515, "home": 207594, "music": 406027, "sports": 275634, nil: 585295,
	}); !maps.Equal(byGroup, want) {
		t.Errorf("seconds by group: got %v, want %v", byGroup, want)
	}
	wantTitles(t, dir, watches)
}

// wantTitles joins the watches of a livestream that changed its title, and of one
// that no change event tells of.
func wantTitles(t *testing.T, dir string, watches []map[string]any) {
	t.Helper()
	titles := map[any]any{}
	for _, l := range sampled(t, dir, "marts.dim_livestreams", 1000) {
		titles[l["livestream_key"]] = l["title"]
		if l["is_inferred"] == true {
			titles[l["livestream_key"]] = "inferred"
		}
	}
	got := map[any]float64{}
	for _, w := range watches {
		switch title := titles[w["livestream_key"]]; title {
		case "Soup of the day", "Stew of the day", "inferred":
			got[title] += w["seconds"].(float64)
		case nil:
			t.Fatalf("a watch refers to no livestream: %v", w)
		}
	}
	if want := (map[any]float64{"Soup of the day": 88639, "Stew of the day": 137419, "inferred": 18685}); !maps.Equal(got, want) {
		t.Errorf("seconds by title: got %v, want %v", got, want)
	}
}
