package predicate

import (
	"fmt"
	"math"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"herald/problem"
)

// within is the name of the function that compares places.
const within = "within"

// earthRadius is the mean radius R1 of the ellipsoid in kilometres (H. Moritz,
// Geodetic Reference System 1980, Journal of Geodesy 74, 2000).
const earthRadius = 6371.0088

// nearness is a term: a place of the event within a distance of a place.
type nearness struct {
	latitude, longitude     string // attributes
	ofLatitude, ofLongitude figure
	distance                figure // kilometres
}

// figure is a number that a subscription chose, or that stands in the condition.
type figure struct {
	param   string
	literal float64 // where param is empty
}

// of is the number, and false when it is absent.
func (f figure) of(param map[string]any) (n float64, ok bool, err error) {
	if f.param == "" {
		return f.literal, true, nil
	}
	return numberIn(param, "param.", f.param)
}

// placeOf reads a checked term as a call of within, with the event's place on
// either side.
func placeOf(e ast.Expr) (nearness, bool) {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != within {
		return nearness{}, false
	}
	args := e.AsCall().Args()
	if n, ok := nearnessOf(args[0], args[1], args[2], args[3], args[4]); ok {
		return n, true
	}
	return nearnessOf(args[2], args[3], args[0], args[1], args[4])
}

func nearnessOf(latitude, longitude, ofLatitude, ofLongitude, distance ast.Expr) (n nearness, ok bool) {
	var all [5]bool
	n.latitude, all[0] = variable(latitude, "event.")
	n.longitude, all[1] = variable(longitude, "event.")
	n.ofLatitude, all[2] = figureOf(ofLatitude)
	n.ofLongitude, all[3] = figureOf(ofLongitude)
	n.distance, all[4] = figureOf(distance)
	return n, all == [5]bool{true, true, true, true, true}
}

func figureOf(e ast.Expr) (figure, bool) {
	if name, ok := variable(e, "param."); ok {
		return figure{param: name}, true
	}
	if e.Kind() == ast.LiteralKind {
		if literal, ok := e.AsLiteral().(types.Double); ok {
			return figure{literal: float64(literal)}, true
		}
	}
	return figure{}, false
}

// checkPlaces refuses literals that no place has.
func checkPlaces(checked *ast.AST) error {
	var fields problem.Fields
	ast.PreOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != within {
			return
		}
		at := position(checked.SourceInfo().GetStartLocation(e.ID()))
		for i, arg := range e.AsCall().Args() {
			if figure, ok := literalOf[types.Double](arg); ok && !reasonable[i].has(float64(figure)) {
				fields.Add("condition", "range", "%s: %s", at, reasonable[i])
			}
		}
	}))
	return fields.Err(refusal)
}

// found is the distance from the event to the place, in kilometres, and the
// most that it may be; nil when they are absent or make no sense.
func (n nearness) found(v *Values) (got, wanted any) {
	far, ok, _ := n.distance.of(v.Param)
	if ok {
		wanted = far
	}
	a, aOK, _ := numberIn(v.Event, "event.", n.latitude)
	o, oOK, _ := numberIn(v.Event, "event.", n.longitude)
	ofA, ofAOK, _ := n.ofLatitude.of(v.Param)
	ofO, ofOOK, _ := n.ofLongitude.of(v.Param)
	if aOK && oOK && ofAOK && ofOOK && isPlace(a, o) && isPlace(ofA, ofO) {
		got = distance(a, o, ofA, ofO)
	}
	return got, wanted
}

// numberIn reads a number of an event or of parameters; ok is false when it is
// absent.
func numberIn(values map[string]any, root, name string) (n float64, ok bool, err error) {
	value := values[name]
	if value == nil {
		return 0, false, nil
	}
	n, ok = value.(float64)
	if !ok {
		return 0, false, fmt.Errorf("%s%s: not a number: %T", root, name, value)
	}
	return n, true, nil
}

func isPlace(latitude, longitude float64) bool {
	return latitudes.has(latitude) && longitudes.has(longitude)
}

// span is what a figure of a place may be.
type span struct {
	name, unit string
	min, max   float64
}

func (s span) has(n float64) bool { return n >= s.min && n <= s.max }

func (s span) String() string {
	return fmt.Sprintf("a %s is %g to %g %s", s.name, s.min, s.max, s.unit)
}

var (
	latitudes  = span{"latitude", "degrees", -90, 90}
	longitudes = span{"longitude", "degrees", -180, 360} // some count from -180 to 180, some from 0 to 360
	distances  = span{"distance", "kilometres", 0, 20_016}
	// reasonable are the arguments of within.
	reasonable = [5]span{latitudes, longitudes, latitudes, longitudes, distances}
)

// near is what within answers; the error says that the figures make no sense.
func near(latitude, longitude, ofLatitude, ofLongitude, km float64) (bool, error) {
	switch {
	case !isPlace(latitude, longitude):
		return false, fmt.Errorf("there is no place at latitude %g, longitude %g", latitude, longitude)
	case !isPlace(ofLatitude, ofLongitude):
		return false, fmt.Errorf("there is no place at latitude %g, longitude %g", ofLatitude, ofLongitude)
	case !distances.has(km):
		return false, fmt.Errorf("%s, not %g", distances, km)
	}
	return distance(latitude, longitude, ofLatitude, ofLongitude) <= km, nil
}

// distance is the way from a place to another in kilometres, by the haversine
// formula (R. W. Sinnott, Virtues of the Haversine, Sky and Telescope 68, 1984,
// page 159). Angles are degrees.
func distance(latitude, longitude, ofLatitude, ofLongitude float64) float64 {
	from, to := radians(latitude), radians(ofLatitude)
	along, across := math.Sin((to-from)/2), math.Sin(radians(ofLongitude-longitude)/2)
	h := along*along + math.Cos(from)*math.Cos(to)*across*across
	return 2 * earthRadius * math.Asin(min(1, math.Sqrt(h)))
}

func radians(degrees float64) float64 { return degrees * math.Pi / 180 }

// withinFunction declares within to CEL.
func withinFunction() cel.EnvOption {
	d := cel.DoubleType
	return cel.Function(within, cel.Overload("within_place", []*cel.Type{d, d, d, d, d}, cel.BoolType,
		cel.FunctionBinding(func(args ...ref.Val) ref.Val {
			var n [5]float64
			for i, arg := range args {
				value, ok := arg.(types.Double)
				if !ok {
					return types.MaybeNoSuchOverloadErr(arg)
				}
				n[i] = float64(value)
			}
			met, err := near(n[0], n[1], n[2], n[3], n[4])
			if err != nil {
				return types.WrapErr(err)
			}
			return types.Bool(met)
		})))
}
