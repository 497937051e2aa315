package pdu

import "fmt"

// Status is how a command was answered (section 5.1.3).
type Status uint32

// The statuses of SMPP 3.4, by the specification's names without ESME_.
const (
	OK                Status = 0x00
	RINVMSGLEN        Status = 0x01 // the message's length is wrong
	RINVCMDLEN        Status = 0x02 // the command's length is wrong
	RINVCMDID         Status = 0x03 // no such command
	RINVBNDSTS        Status = 0x04 // not allowed in this kind of session
	RALYBND           Status = 0x05 // bound already
	RINVPRTFLG        Status = 0x06 // no such priority
	RINVREGDLVFLG     Status = 0x07 // no such registered_delivery
	RSYSERR           Status = 0x08 // the server has a problem
	RINVSRCADR        Status = 0x0A // the source address is wrong
	RINVDSTADR        Status = 0x0B // the destination address is wrong
	RINVMSGID         Status = 0x0C // no such message
	RBINDFAIL         Status = 0x0D // no session, and no reason
	RINVPASWD         Status = 0x0E // wrong password
	RINVSYSID         Status = 0x0F // no such system_id
	RCANCELFAIL       Status = 0x11 // could not be cancelled
	RREPLACEFAIL      Status = 0x13 // could not be replaced
	RMSGQFUL          Status = 0x14 // the queue is full
	RINVSERTYP        Status = 0x15 // no such service_type
	RINVNUMDESTS      Status = 0x33 // wrong number of destinations
	RINVDLNAME        Status = 0x34 // no such distribution list
	RINVDESTFLAG      Status = 0x40 // wrong destination flag
	RINVSUBREP        Status = 0x42 // replacing is not supported
	RINVESMCLASS      Status = 0x43 // wrong esm_class
	RCNTSUBDL         Status = 0x44 // not to a distribution list
	RSUBMITFAIL       Status = 0x45 // submitting failed
	RINVSRCTON        Status = 0x48 // wrong type of the source's number
	RINVSRCNPI        Status = 0x49 // wrong numbering plan of the source
	RINVDSTTON        Status = 0x50 // wrong type of the destination's number
	RINVDSTNPI        Status = 0x51 // wrong numbering plan of the destination
	RINVSYSTYP        Status = 0x53 // no such system_type
	RINVREPFLAG       Status = 0x54 // wrong replace_if_present
	RINVNUMMSGS       Status = 0x55 // wrong number of messages
	RTHROTTLED        Status = 0x58 // more than is allowed at a time
	RINVSCHED         Status = 0x61 // wrong schedule_delivery_time
	RINVEXPIRY        Status = 0x62 // wrong validity_period
	RINVDFTMSGID      Status = 0x63 // no such predefined message
	RXTAPPN           Status = 0x64 // the receiver cannot now
	RXPAPPN           Status = 0x65 // the receiver never can
	RXRAPPN           Status = 0x66 // the receiver refuses this message
	RQUERYFAIL        Status = 0x67 // query_sm failed
	RINVOPTPARSTREAM  Status = 0xC0 // the optional part cannot be read
	ROPTPARNOTALLWD   Status = 0xC1 // an option is not allowed here
	RINVPARLEN        Status = 0xC2 // an option's length is wrong
	RMISSINGOPTPARAM  Status = 0xC3 // an option is missing
	RINVOPTPARAMVAL   Status = 0xC4 // an option's value is wrong
	RDELIVERYFAILURE  Status = 0xFE // delivery failed (data_sm)
	RUNKNOWNERR       Status = 0xFF // no reason is given
	firstVendorStatus Status = 0x400
	lastVendorStatus  Status = 0x4FF
)

var statusNames = map[Status]string{
	OK: "ROK", RINVMSGLEN: "RINVMSGLEN", RINVCMDLEN: "RINVCMDLEN", RINVCMDID: "RINVCMDID", RINVBNDSTS: "RINVBNDSTS",
	RALYBND: "RALYBND", RINVPRTFLG: "RINVPRTFLG", RINVREGDLVFLG: "RINVREGDLVFLG", RSYSERR: "RSYSERR",
	RINVSRCADR: "RINVSRCADR", RINVDSTADR: "RINVDSTADR", RINVMSGID: "RINVMSGID", RBINDFAIL: "RBINDFAIL",
	RINVPASWD: "RINVPASWD", RINVSYSID: "RINVSYSID", RCANCELFAIL: "RCANCELFAIL", RREPLACEFAIL: "RREPLACEFAIL",
	RMSGQFUL: "RMSGQFUL", RINVSERTYP: "RINVSERTYP", RINVNUMDESTS: "RINVNUMDESTS", RINVDLNAME: "RINVDLNAME",
	RINVDESTFLAG: "RINVDESTFLAG", RINVSUBREP: "RINVSUBREP", RINVESMCLASS: "RINVESMCLASS", RCNTSUBDL: "RCNTSUBDL",
	RSUBMITFAIL: "RSUBMITFAIL", RINVSRCTON: "RINVSRCTON", RINVSRCNPI: "RINVSRCNPI", RINVDSTTON: "RINVDSTTON",
	RINVDSTNPI: "RINVDSTNPI", RINVSYSTYP: "RINVSYSTYP", RINVREPFLAG: "RINVREPFLAG", RINVNUMMSGS: "RINVNUMMSGS",
	RTHROTTLED: "RTHROTTLED", RINVSCHED: "RINVSCHED", RINVEXPIRY: "RINVEXPIRY", RINVDFTMSGID: "RINVDFTMSGID",
	RXTAPPN: "RX_T_APPN", RXPAPPN: "RX_P_APPN", RXRAPPN: "RX_R_APPN", RQUERYFAIL: "RQUERYFAIL",
	RINVOPTPARSTREAM: "RINVOPTPARSTREAM", ROPTPARNOTALLWD: "ROPTPARNOTALLWD", RINVPARLEN: "RINVPARLEN",
	RMISSINGOPTPARAM: "RMISSINGOPTPARAM", RINVOPTPARAMVAL: "RINVOPTPARAMVAL", RDELIVERYFAILURE: "RDELIVERYFAILURE",
	RUNKNOWNERR: "RUNKNOWNERR",
}

// String is its name and number, such as "RTHROTTLED 0x58".
func (s Status) String() string {
	if name, known := statusNames[s]; known {
		return fmt.Sprintf("%s 0x%02X", name, uint32(s))
	}
	return fmt.Sprintf("0x%08X", uint32(s))
}

// IsVendors reports whether it is one that each maker of servers defines for
// itself.
func (s Status) IsVendors() bool { return s >= firstVendorStatus && s <= lastVendorStatus }
