package expression

import (
	"errors"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
)

func TestProblemsSayWhereAndWhat(t *testing.T) {
	schema := schemaOf(t, everything+"; amount decimal(10,2); created_at timestamptz")
	f := func(text, want string) {
		t.Helper()
		e, err := Parse(text)
		if err == nil {
			_, err = e.Check(schema)
		}
		var at *Error
		if !errors.As(err, &at) {
			t.Errorf("%s: got %v, want an *Error", text, err)
			return
		}
		if err.Error() != want {
			t.Errorf("%s\ngot:  %s\nwant: %s", text, err, want)
		}
	}
	f("", "at character 1: expected a column, a value, a function or an opening parenthesis, found the end")
	f("i >", "at character 4: expected a column, a value, a function or an opening parenthesis, found the end")
	f("i > > 1", `at character 5: expected a column, a value, a function or an opening parenthesis, found ">"`)
	f("'ü' i", `at character 5: expected an operator or the end, found "i"`)
	f("i = 1 = b", `at character 7: comparisons do not chain, found a second "="; join them with and, or put one in parentheses`)
	f("i = null", "at character 3: a comparison with null by = is never true; write i is null")
	f("not (null <> i + 1 or b)", "at character 11: a comparison with null by <> is never true; write i + 1 is not null")
	f("(i = 1 or b) != null", "at character 14: a comparison with null by <> is never true; write (i = 1 or b) is not null")
	f("null = null", "at character 6: a comparison with null by = is never true; write null is null")
	f("i == 1", `at character 4: expected a column, a value, a function or an opening parenthesis, found "="`)
	f("i && b", `at character 3: found '&', which no expression has; write and`)
	f("'abc", "at character 1: the quote ' that begins here has no end; a quote inside is written twice: ''")
	f("1x", `at character 1: found "1x", which is neither a number nor a name`)
	f("(i", `at character 3: expected ")", found the end`)
	f("i in ()", "at character 3: the list of in is empty")
	f("i not 1", "at character 7: expected between, in or like after not, found the number 1")
	f("i is 5", "at character 6: expected null, true, false or distinct from after is, found the number 5; values are compared with =")
	f("cast(i as strin)", `at character 11: data_type "strin": unknown type "strin", expected one of boolean, int, long, float, double, decimal(p,s), string, binary, date, timestamp, timestamptz, struct<…>, list<…>, map<…>`)
	f("cast(i as list<int>)", "at character 11: cast cannot make a list<int>; a plugin can")
	f("case i end", "at character 8: expected when in case, found \"end\"")
	f("date '2024-02-30'", "at character 6: expected a date as in 2024-02-29")
	f("interval '5 minuts'", "at character 10: unknown unit 'minuts' in an interval, expected one of microsecond, millisecond, second, minute, hour, day, week, month, quarter, year")
	f("interval '5 minutes'", "at character 1: an interval alone is no value; add it to a date or a timestamp")
	f("null", "at character 1: the expression is always null and has no type; give it one: cast(null as string)")
	f("i + intervall", `at character 5: there is no column "intervall", expected one of `+strings.Join(fieldNames(schema), ", "))
	f("amuont > 0", `at character 1: there is no column "amuont", expected one of `+strings.Join(fieldNames(schema), ", ")+`; did you mean "amount"?`)
	f("st.b", `at character 1: there is no field "b", expected one of a, in; did you mean "a"?`)
	f("i.a", `at character 1: int has no field "a": it is no struct`)
	f("lenght(s)", `at character 1: there is no function "lenght"; did you mean length?`)
	f("count_if(b) > 0", `at character 1: there is no function "count_if"; count_if is an aggregate over rows; an expression sees one row`)
	f("substr(s)", "at character 1: substr takes 2 to 3 arguments, found 1; write substr(text, start, length)")
	f("i = '7'", "at character 5: the sides of =: int and string have no common type; cast the text to a number, as in cast(x as long), or the number to text")
	f("s > 5", "at character 5: the sides of >: string and int have no common type; cast the text to a number, as in cast(x as long), or the number to text")
	f("at = ts", "at character 6: the sides of =: timestamptz and timestamp have no common type; timestamps without a time zone are not instants: cast(x as timestamptz) reads them as UTC")
	f("at = 'yesterday'", `at character 6: the text "yesterday" is no timestamptz; write '2024-02-29T12:00:00Z'`)
	f("st = st", "at character 4: values of type struct<a: int, in: struct<c: string>> are not compared; compare their fields")
	f("s + 1", "at character 1: + needs numbers, found string; texts are joined by ||, and made numbers by cast(x as long)")
	f("at - at", "at character 1: - needs numbers, found timestamptz; date_diff('day', from, to) and seconds_between(from, to) give the time between")
	f("i and b", "at character 1: and needs a condition that is true or false, found int")
	f("case when i then 1 end", "at character 11: when needs a condition that is true or false, found int")
	f("coalesce(i, 'x')", "at character 13: coalesce: int and string have no common type; cast the text to a number, as in cast(x as long), or the number to text")
	f("coalesce(st, st)", "at character 10: coalesce: values of type struct<a: int, in: struct<c: string>> cannot be chosen from; choose among their fields")
	f("cast(b as date)", "at character 1: cast knows no way from boolean to date; cast it to string first, if its text is meant")
	f("day + interval '1 hour'", "at character 5: a date and an interval with parts of a day make no date; cast the date to timestamp or timestamptz")
	f("i + interval '1 hour'", "at character 1: an interval is added to a date or a timestamp, found int; cast it, as in cast(x as timestamptz)")
	f("regexp_like(s, '(')", "at character 16: the pattern is no regular expression: missing closing ): `(`; the syntax is RE2's")
	f("regexp_like(s, s)", "at character 16: regexp_like needs a text in quotes here, not a value of a row")
	f("date_trunc('fortnight', at)", "at character 12: unknown unit 'fortnight', expected one of microsecond, millisecond, second, minute, hour, day, week, month, quarter, year")
	f("date_trunc('hour', day)", "at character 12: a date has no hour; cast it to timestamp")
	f("s like 'a!' escape '!'", "at character 8: the pattern ends with its escape character")
	f("s like 'a' escape '!!'", "at character 19: escape needs one character in quotes")
	f("round(d, i)", "at character 10: round needs a whole number from 0 to 18 as its digits")
	f(strings.Repeat("(", 200)+"1"+strings.Repeat(")", 200), "at character 101: the expression is nested deeper than 100; derive a column for a part of it")
	f(strings.Repeat("a", 20<<10), "at character 16385: the expression is longer than 16384 bytes; a plugin can hold more logic")
	f("order by", `at character 7: expected an operator or the end, found "by"`)
	f("end = 1", `at character 1: expected a column, a value or a function, found "end"; a column of that name is written in double quotes: "end"`)
	f("1.0000000000000000000000000000000000000001", "at character 1: the number 1.00000000000000000000000000000000000000… has more than 38 digits; with an exponent it is a double: 1.00000000000000000000000000000000000000…e0")
}

func fieldNames(s *arrow.Schema) []string {
	var names []string
	for _, f := range s.Fields() {
		names = append(names, f.Name)
	}
	return names
}

func TestConditionsMustBeBoolean(t *testing.T) {
	e, err := Parse("  i + 1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.CheckCondition(schemaOf(t, everything))
	const want = "at character 5: the expression is long, expected a condition that is true or false"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
