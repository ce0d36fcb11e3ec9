# Makes a shell script of the walk in docs/plugins.md, "From zero": the files that
# it shows, the commands, and of the table of languages the column COLUMN.
#
#   awk -v column=2 -f walk.awk docs/plugins.md

/^## / { on = ($0 == "## From zero"); next }
!on { next }

fenced && /^```$/ { print "WALK"; fenced = 0; next }
fenced { print; next }
file != "" && /^```/ { print "cat >\"" file "\" <<'WALK'"; fenced = 1; file = ""; next }
/^`[^` ]+`/ { split($0, part, "`"); file = part[2]; next }
/^    (mkdir|calve|npm) / { print substr($0, 5); next } # what is indented otherwise is what is printed
/^\|/ {
  split($0, cell, "|")
  if (match(cell[column], /`[^`]+`/) && cell[column] !~ /`edit / && cell[column] !~ /edit `/)
    print substr(cell[column], RSTART + 1, RLENGTH - 2)
}
