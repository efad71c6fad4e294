package main

import (
	"fmt"
	"image/color"
	"io"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

var plotBlue = color.RGBA{R: 66, G: 112, B: 173, A: 255}

// panel is one of the plots that stand side by side: a bar for each contestant.
type panel struct {
	title  string
	values []float64
}

// draw writes the panels as SVG, beside the report.
func (l *lab) draw(name string, labels []string, panels []panel) error {
	if l.report == "" {
		return nil
	}
	const width, height = 11 * vg.Inch, 3.4 * vg.Inch
	canvas := vgsvg.New(width, height)
	tiles := draw.Tiles{Rows: 1, Cols: len(panels), PadX: vg.Centimeter, PadTop: 5, PadBottom: 5, PadLeft: 5, PadRight: 5}
	var plots []*plot.Plot
	for _, one := range panels {
		p, err := one.plot(labels)
		if err != nil {
			return fmt.Errorf("draw %s: %w", one.title, err)
		}
		plots = append(plots, p)
	}
	for i, c := range plot.Align([][]*plot.Plot{plots}, tiles, draw.New(canvas))[0] {
		plots[i].Draw(c)
	}
	return writeTo(filepath.Join(filepath.Dir(l.report), name+".svg"), canvas)
}

func (one panel) plot(labels []string) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = one.title
	p.Y.Min = 0
	bars, err := plotter.NewBarChart(plotter.Values(one.values), vg.Points(26))
	if err != nil {
		return nil, err
	}
	bars.LineStyle.Width = 0
	bars.Color = plotBlue
	p.Add(plotter.NewGrid(), bars)
	p.NominalX(labels...)
	points := make(plotter.XYs, len(one.values))
	texts := make([]string, len(one.values))
	for i, v := range one.values {
		points[i], texts[i] = plotter.XY{X: float64(i), Y: v}, fmt.Sprintf("%.0f", v)
	}
	numbers, err := plotter.NewLabels(plotter.XYLabels{XYs: points, Labels: texts})
	if err != nil {
		return nil, err
	}
	for i := range numbers.TextStyle {
		numbers.TextStyle[i].XAlign = draw.XCenter
	}
	numbers.Offset = vg.Point{Y: 3}
	p.Add(numbers)
	p.Y.Max *= 1.1
	return p, nil
}

func writeTo(path string, from io.WriterTo) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := from.WriteTo(file); err != nil {
		return err
	}
	return file.Close()
}
