package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// experiments in the order in which they run. Each adds its tables to the report.
var experiments = []struct {
	name string
	run  func(context.Context, *lab) error
}{
	{"throughput", measureThroughput},
	{"latency", measureLatency},
	{"memory", measureMemory},
	{"hot", measureHotAccount},
	{"redis", measureRedis},
	{"pods", measurePods},
	{"flat", measureFlat},
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "run" {
		if err := runChild(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o options
	only := flag.String("only", "", "experiments, comma-separated; all unless set")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each contestant runs, in turn")
	flag.IntVar(&o.jobs, "jobs", 30_000, "jobs of a run")
	flag.IntVar(&o.backlog, "backlog", 1_000_000, "jobs and accounts of the large backlog")
	flag.StringVar(&o.binary, "relogin", "", "the binary to measure; built from the checkout unless set")
	flag.StringVar(&o.report, "report", "", "the page whose tables to replace; none unless set")
	flag.StringVar(&o.contestants, "contestants", strings.Join(allContestants, ","), "of the throughput, comma-separated")
	open := flag.String("open", "100,10000,25000", "confirmations held open, comma-separated")
	flag.Parse()
	for n := range strings.SplitSeq(*open, ",") {
		count, err := strconv.Atoi(n)
		if err != nil {
			return fmt.Errorf("-open: %w", err)
		}
		o.open = append(o.open, count)
	}
	l, err := newLab(ctx, o)
	if err != nil {
		return err
	}
	defer l.close()
	for _, e := range experiments {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), e.name) {
			continue
		}
		fmt.Printf("\n=== %s\n", e.name)
		if err := e.run(ctx, l); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return l.tables.write(o.report)
}

// runChild is what the processes of this binary do that bench starts.
func runChild(name string) error {
	if name == "gateway" {
		return serveGateway()
	}
	work, ok := contestants[name]
	if !ok {
		return fmt.Errorf("unknown contestant %q", name)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return work(ctx, newSetting())
}
