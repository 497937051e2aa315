package predicate

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"herald/problem"
)

func TestDistance(t *testing.T) {
	half := math.Pi * earthRadius
	for name, c := range map[string]struct {
		latitude, longitude, ofLatitude, ofLongitude, want float64
	}{
		"nowhere":                    {31.23, 121.47, 31.23, 121.47, 0},
		"pole to pole":               {90, 0, -90, 77, half},
		"a quarter of the equator":   {0, 0, 0, 90, half / 2},
		"to the antipode":            {10, 20, -10, -160, half},
		"over the date line":         {0, 179.5, 0, -179.5, half / 180},
		"the same by both countings": {5, -170, 5, 190, 0},
		"at a pole there is no east": {90, 10, 90, -100, 0},
		"over a pole":                {89, 0, 89, 180, half / 90},
		// A much used example, there with a radius of 6372.8 km: 2887.2599506 km.
		"Nashville to Los Angeles": {36.12, -86.67, 33.94, -118.40, 2887.2599506 * earthRadius / 6372.8},
	} {
		got := distance(c.latitude, c.longitude, c.ofLatitude, c.ofLongitude)
		back := distance(c.ofLatitude, c.ofLongitude, c.latitude, c.longitude)
		if math.Abs(got-c.want) > 1e-4 || math.Abs(got-back) > 1e-9 {
			t.Errorf("%s: %.7f km and back %.7f, want %.7f", name, got, back, c.want)
		}
	}
}

// spots lie anywhere, often at the edges of the map.
func spots() *rapid.Generator[[2]float64] {
	return rapid.Custom(func(t *rapid.T) [2]float64 {
		latitude := rapid.OneOf(
			rapid.SampledFrom([]float64{-90, -89.999999, 0, 89.999999, 90}),
			rapid.Float64Range(-90, 90),
		).Draw(t, "latitude")
		longitude := rapid.OneOf(
			rapid.SampledFrom([]float64{-180, -179.999999, -90, 0, 90, 180, 270, 360}),
			rapid.Float64Range(-180, 360),
		).Draw(t, "longitude")
		return [2]float64{latitude, longitude}
	})
}

// neighbour is a spot about as far from another as a distance.
func neighbour(t *rapid.T, of [2]float64, km float64) [2]float64 {
	angle := km / earthRadius * rapid.SampledFrom([]float64{0, 0.5, 0.999999, 1, 1.000001, 2}).Draw(t, "share")
	bearing := rapid.Float64Range(0, 2*math.Pi).Draw(t, "bearing")
	from := radians(of[0])
	latitude := math.Asin(math.Sin(from)*math.Cos(angle) + math.Cos(from)*math.Sin(angle)*math.Cos(bearing))
	along := math.Atan2(math.Sin(bearing)*math.Sin(angle)*math.Cos(from), math.Cos(angle)-math.Sin(from)*math.Sin(latitude))
	longitude := math.Mod(of[1]+along*180/math.Pi+540, 360) - 180
	return [2]float64{max(-90, min(90, latitude*180/math.Pi)), longitude}
}

func TestTheCoveringCellsHoldEveryPlaceWithinTheDistance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := spots().Draw(t, "from")
		km := rapid.OneOf(
			rapid.SampledFrom([]float64{0, 1e-6, 0.097, 0.195, 1, 50, 6371.0088, 10007.5, 20015, 20016}),
			rapid.Float64Range(0, 20016),
			rapid.Map(rapid.Float64Range(-4, 4), func(power float64) float64 { return math.Pow(10, power) }),
		).Draw(t, "km")
		to := spots().Draw(t, "to")
		if rapid.Bool().Draw(t, "near") {
			to = neighbour(t, from, km)
		}
		if rapid.Bool().Draw(t, "exactly") {
			km = distance(from[0], from[1], to[0], to[1])
		}
		cells := covering(pointAt(from[0], from[1]), km)
		if len(cells) == 0 || len(cells) > 8 {
			t.Fatalf("%d cells", len(cells))
		}
		if distance(from[0], from[1], to[0], to[1]) <= km && !slices.Contains(cells, cellOf(pointAt(to[0], to[1]), cells[0].level)) {
			t.Fatalf("within %g km, and not in the cells %v", km, cells)
		}
	})
}

// How many cells a subscription waits on, and how much of what they hold is
// too far away.
func TestTheCoveringCellsAreFewAndNear(t *testing.T) {
	for _, km := range []float64{0.2, 1, 5, 20, 50, 100, 300, 1000} {
		cells, held, near := 0, 0, 0
		for i := range 400 { // spread evenly over the sphere, by golden angles
			latitude := math.Asin(1-2*(float64(i)+0.5)/2000) * 180 / math.Pi
			longitude := math.Mod(float64(i)*137.50776405, 360)
			covered := covering(pointAt(latitude, longitude), km)
			cells += len(covered)
			for j := range 100 { // around it, as far as the cells may reach
				far := 8 * km * math.Sqrt((float64(j)+0.5)/100) / earthRadius
				bearing := float64(j) * 2.39996
				from := radians(latitude)
				a := math.Asin(math.Sin(from)*math.Cos(far) + math.Cos(from)*math.Sin(far)*math.Cos(bearing))
				o := longitude + math.Atan2(math.Sin(bearing)*math.Sin(far)*math.Cos(from), math.Cos(far)-math.Sin(from)*math.Sin(a))*180/math.Pi
				if slices.Contains(covered, cellOf(pointAt(a*180/math.Pi, o), covered[0].level)) {
					held++
					if far*earthRadius <= km {
						near++
					}
				}
			}
		}
		t.Logf("%6g km: %.1f cells, %.1f candidates for a match", km, float64(cells)/400, float64(held)/float64(max(near, 1)))
		if mean := float64(cells) / 2000; mean > 6 {
			t.Errorf("%g km: %.1f cells a subscription", km, mean)
		}
	}
}

func TestKeysRefuseAPlaceThatIsNone(t *testing.T) {
	p, err := Compile("within(event.a, event.o, param.a, param.o, param.d)", Schema{
		Event: map[string]Type{"a": Number, "o": Number},
		Param: map[string]Type{"a": Number, "o": Number, "d": Number},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		param map[string]any
		paths []string
	}{
		"beyond the pole":      {map[string]any{"a": 90.1, "o": 0.0, "d": 5.0}, []string{"params.a"}},
		"beyond the last turn": {map[string]any{"a": 0.0, "o": 361.0, "d": 5.0}, []string{"params.o"}},
		"a distance below 0":   {map[string]any{"a": 0.0, "o": 0.0, "d": -1.0}, []string{"params.d"}},
		"round the earth":      {map[string]any{"a": -91.0, "o": 0.0, "d": 40000.0}, []string{"params.a", "params.d"}},
		"no number":            {map[string]any{"a": math.NaN(), "o": math.Inf(1), "d": math.NaN()}, []string{"params.a", "params.o", "params.d"}},
	} {
		_, err := p.Keys(c.param, Member{})
		var refused *problem.Error
		if !errors.As(err, &refused) || refused.Code != problem.Invalid {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var paths []string
		for _, f := range refused.Fields {
			paths = append(paths, f.Path)
		}
		if !slices.Equal(paths, c.paths) {
			t.Errorf("%s: %v, want %v", name, paths, c.paths)
		}
	}
	if keys, err := p.Keys(map[string]any{"a": 0.0, "o": 0.0}, Member{}); keys != nil || err != nil {
		t.Errorf("without a distance: %v, %v", keys, err)
	}
	if _, err := p.Keys(map[string]any{"a": "x", "o": 0.0, "d": 5.0}, Member{}); err == nil || !strings.Contains(err.Error(), "param.a: not a number") {
		t.Errorf("a latitude of text: %v", err)
	}
	if _, err := p.Probes(map[string]any{"a": 1.0, "o": "x"}); err == nil || !strings.Contains(err.Error(), "event.o: not a number") {
		t.Errorf("a longitude of text: %v", err)
	}
}
