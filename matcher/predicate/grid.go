package predicate

import (
	"math"
	"strconv"
)

// The grid. A place is a point on the unit sphere, and the space around it is
// cut into cubes, so that there are neither poles nor a date line: what lies
// within an angle of a point lies in a ball around it, and a ball no wider
// than a cube reaches into 8 of them at most. Level 0 has one cube; each level
// halves the side.
const (
	gridSide  = 4.0
	maxLevel  = 16   // a side of 389 m
	gridSlack = 1e-9 // 6 mm, far more than floating point gets wrong
)

type point [3]float64

func pointAt(latitude, longitude float64) point {
	a, o := radians(latitude), radians(longitude)
	return point{math.Cos(a) * math.Cos(o), math.Cos(a) * math.Sin(o), math.Sin(a)}
}

// cell is a cube of a level.
type cell struct {
	level   int
	x, y, z int
}

func (c cell) side() float64 { return gridSide / float64(int(1)<<c.level) }

// cellOf is the cell that a point lies in.
func cellOf(p point, level int) cell {
	side := cell{level: level}.side()
	at := func(coordinate float64) int { return int(math.Floor((coordinate + 1) / side)) }
	return cell{level, at(p[0]), at(p[1]), at(p[2])}
}

// levelOf is the finest level whose cubes are at least as wide as a ball.
func levelOf(radius float64) int {
	level := 0
	for level < maxLevel && (cell{level: level + 1}).side() >= 2*radius {
		level++
	}
	return level
}

// chord is how far apart two points of the unit sphere are that lie km apart
// on the earth, a trifle more.
func chord(km float64) float64 {
	angle := min(km/earthRadius, math.Pi)
	return 2*math.Sin(angle/2) + gridSlack
}

// covering are the cells in which all places within km of p lie.
func covering(p point, km float64) []cell {
	radius := chord(km)
	level := levelOf(radius)
	low := cellOf(point{p[0] - radius, p[1] - radius, p[2] - radius}, level)
	high := cellOf(point{p[0] + radius, p[1] + radius, p[2] + radius}, level)
	var cells []cell
	for x := low.x; x <= high.x; x++ {
		for y := low.y; y <= high.y; y++ {
			for z := low.z; z <= high.z; z++ {
				if c := (cell{level, x, y, z}); c.touches(p, radius) {
					cells = append(cells, c)
				}
			}
		}
	}
	return cells
}

// touches reports whether the cell has a part of the sphere and may have one
// of the ball around p.
func (c cell) touches(p point, radius float64) bool {
	var fromBall, nearest, farthest float64 // squares
	for i, at := range [3]int{c.x, c.y, c.z} {
		low := float64(at)*c.side() - 1
		high := low + c.side()
		outside := max(low-p[i], p[i]-high, 0)
		least, most := max(low, -high, 0), max(math.Abs(low), math.Abs(high))
		fromBall, nearest, farthest = fromBall+outside*outside, nearest+least*least, farthest+most*most
	}
	return fromBall <= radius*radius && nearest <= 1+gridSlack && farthest >= 1-gridSlack
}

// appendTo appends the cell to a key.
func (c cell) appendTo(b []byte) []byte {
	b = append(b, 'g')
	for i, n := range [4]int{c.level, c.x, c.y, c.z} {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return append(b, ':')
}
