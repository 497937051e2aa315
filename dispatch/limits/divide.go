package limits

// Divide shares total among those who want some of it, max-min fair: nobody gets
// more than wanted, and nobody could get more without taking from one who has
// no more than that. What cannot be divided evenly goes to those named first.
//
// It is progressive filling: Bertsekas and Gallager, Data Networks, 2nd ed.,
// 6.5.2, with one resource.
func Divide(total int, wants []int) []int {
	shares := make([]int, len(wants))
	left := total
	for left > 0 {
		hungry := 0
		for i, want := range wants {
			if want > shares[i] {
				hungry++
			}
		}
		if hungry == 0 {
			break
		}
		each := left / hungry
		for i, want := range wants {
			if want <= shares[i] || left == 0 {
				continue
			}
			more := min(want-shares[i], each)
			if each == 0 {
				more = 1
			}
			shares[i] += more
			left -= more
		}
	}
	return shares
}
