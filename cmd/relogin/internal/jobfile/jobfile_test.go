package jobfile

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/relogin/relogin/worker/job"
)

func TestReadJobs(t *testing.T) {
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	all := job.Job{ID: "1", WcID: "a,b", Type: 3, TTUID: "t", AID: "i", Tenant: "x", Deadline: noon, Labels: map[string]string{"k": "v", "Z": "w"}}
	tests := map[string]struct {
		text string
		want []job.Job
	}{
		"empty":       {"", nil},
		"list":        {"a\nb c\n", []job.Job{{WcID: "a"}, {WcID: "b c"}}},
		"no newline":  {"a", []job.Job{{WcID: "a"}}},
		"windows":     {"\ufeffa\r\n\r\n  b \r\n", []job.Job{{WcID: "a"}, {WcID: "b"}}},
		"comments":    {"# c\na\n#b\n\"#d\"\n", []job.Job{{WcID: "a"}, {WcID: "#d"}}},
		"strange":     {"a.*>{}\n微信\n\"a,b\"\n", []job.Job{{WcID: "a.*>{}"}, {WcID: "微信"}, {WcID: "a,b"}}},
		"header":      {"WCID\na\n", []job.Job{{WcID: "a"}}},
		"header only": {"id,wcId\n", nil},
		"semicolons":  {"# c\n\nid;wcId\n1;a\n;b\n;\n", []job.Job{{ID: "1", WcID: "a"}, {WcID: "b"}}},
		"tabs":        {"id\twcId\n1\ta\n", []job.Job{{ID: "1", WcID: "a"}}},
		"quoted bom":  {"\ufeff\"wcId\",\"id\"\na,1\n", []job.Job{{ID: "1", WcID: "a"}}},
		"all columns": {"id,wcId,TYPE,ttuid,aid,tenant,deadline,label.k,labels.Z\n1,\"a,b\",3,t,i,x,2026-01-31T12:00:00Z,v,w\n", []job.Job{all}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			jobs, err := Read(strings.NewReader(test.text), func() *job.Job { return &job.Job{} })
			if err != nil {
				t.Fatal(err)
			}
			var got []job.Job
			for _, j := range jobs {
				got = append(got, *j)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestReadJobsNamesLinesAndColumns(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"unknown column":     {"wcId,colour\na,red\n", []string{`unknown column "colour"`}},
		"column twice":       {"wcId,WCID\na,b\n", []string{"twice"}},
		"all lines":          {"wcId,type,deadline\na,x,\n# c\nb,,soon\nc\n,2,\n", []string{"4 wrong", "line 2: column type", "line 4: column deadline", "line 5: 1 columns", "line 6: ", "wcId is missing"}},
		"commas, no names":   {"a,b\n", []string{"line 1: 2 columns"}},
		"quotes":             {"a\nb\"c\nd\n", []string{"line 2: column 2"}},
		"control":            {"a\x01b\n", []string{"line 1: ", "U+0001"}},
		"encoding":           {"a\xff\n", []string{"not valid UTF-8"}},
		"many":               {strings.Repeat("a,b\n", 100), []string{"100 wrong", "and 90 more"}},
		"seconds":            {"wcId,deadline\na,1763936000\n", []string{"line 2: column deadline", "2026-01-31T15:04:05Z"}},
		"seconds as words":   {"wcId,deadline\na,1970-01-21T09:58:56Z\n", []string{"line 2: ", "deadline", "milliseconds"}},
		"header in English":  {"wxid\nwxid_a\n", []string{`the first line, wxid, seems to name columns, and none is wcId`}},
		"header, two names":  {"wxid,id\n" + strings.Repeat("a,1\n", 5000), []string{`the first line, wxid,id,`}},
		"header in Chinese":  {"\ufeff微信号\r\na\r\n", []string{`the first line, 微信号, seems`, "wcId, id, type"}},
		"header in capitals": {"\"WeChat ID\";\"name\"\na;b\n", []string{`none is wcId`}},
		"no account's name":  {"id,tenant\n1,acme\n", []string{`none is wcId`}},
		"too long":           {strings.Repeat("a", 200) + "\n", []string{"200 bytes"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			jobs, err := Read(strings.NewReader(test.text), func() *job.Job { return &job.Job{} })
			if err == nil {
				t.Fatalf("it read %d jobs", len(jobs))
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}
