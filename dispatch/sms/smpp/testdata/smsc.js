// An SMSC by the npm package smpp. It prints what it took as lines of JSON.
// What it does is chosen by the last two digits of the recipient's number:
//
//   02  answers after a while          03  never answers
//   04  refuses: RINVDSTADR            05  gives the receipt before the answer
//   06  the receipt has the id in decimal and no options
//   14  refuses the first time of each part: RMSGQFUL
//   58  refuses the first time of each part: RTHROTTLED
//   09  the receipt says UNDELIV       99  the phone answers, in two parts
//   98  breaks the connection before it answers
'use strict'
const smpp = require('smpp')
const seen = new Set()
let last = 0xa0b0c0

function told(event) { console.log(JSON.stringify(event)) }

// deliver hands a unit over again until it is acknowledged.
function deliver(session, options) {
  session.deliver_sm(options, answer => {
    told({ deliver: options.short_message && String(options.short_message.message || options.short_message), status: answer.command_status })
    if (answer.command_status === smpp.ESME_RX_T_APPN) setTimeout(() => deliver(session, options), 50)
  })
}

function receipt(session, pdu, id, state, kind) {
  const options = {
    esm_class: smpp.ESM_CLASS.MC_DELIVERY_RECEIPT,
    source_addr_ton: 1, source_addr_npi: 1, source_addr: pdu.destination_addr, destination_addr: pdu.source_addr,
    short_message: 'id:' + (kind === '06' ? parseInt(id, 16) : id) + ' sub:001 dlvrd:001 submit date:2611221100 done date:2611221101 stat:' + state + ' err:' + (state === 'DELIVRD' ? '000' : '001') + ' text:Hello',
  }
  if (kind !== '06') Object.assign(options, { receipted_message_id: id, message_state: smpp.MESSAGE_STATE[state === 'DELIVRD' ? 'DELIVERED' : 'UNDELIVERABLE'] })
  deliver(session, options)
}

function phoneAnswers(session, pdu) {
  const parts = ['不要再给我发', '短信了']
  parts.forEach((message, i) => deliver(session, {
    esm_class: 0x40, source_addr_ton: 1, source_addr_npi: 1, source_addr: pdu.destination_addr, destination_addr: pdu.source_addr,
    data_coding: 8, short_message: { udh: Buffer.from([5, 0, 3, 7, parts.length, i + 1]), message },
  }))
}

const server = smpp.createServer(session => {
  session.on('error', () => {})
  const bind = pdu => session.send(pdu.response(pdu.password === 'secret' ? { system_id: 'node', sc_interface_version: 0x34 } : { command_status: smpp.ESME_RINVPASWD }))
  session.on('bind_transceiver', bind)
  session.on('enquire_link', pdu => session.send(pdu.response()))
  session.on('unbind', pdu => { session.send(pdu.response()); session.close() })
  const asking = setInterval(() => session.enquire_link({}, answer => told({ alive: answer.command_status })), 100)
  session.on('close', () => clearInterval(asking))
  session.on('submit_sm', pdu => {
    const kind = pdu.destination_addr.slice(-2)
    const text = pdu.short_message.message || (pdu.message_payload && pdu.message_payload.message) || ''
    const udh = pdu.short_message.udh ? Buffer.concat(pdu.short_message.udh).toString('hex') : ''
    const unit = { to: pdu.destination_addr, text: String(text), udh, coding: pdu.data_coding, registered: pdu.registered_delivery, from: pdu.source_addr, validity: pdu.validity_period, reference: pdu.user_message_reference }
    const key = pdu.destination_addr + udh
    if ((kind === '58' || kind === '14') && !seen.has(key)) {
      seen.add(key)
      told({ ...unit, refused: true })
      session.send(pdu.response({ command_status: kind === '58' ? smpp.ESME_RTHROTTLED : smpp.ESME_RMSGQFUL }))
      return
    }
    if (kind === '04') { session.send(pdu.response({ command_status: smpp.ESME_RINVDSTADR })); return }
    const id = (++last).toString(16)
    told({ ...unit, id })
    if (kind === '98') { session.destroy(); return }
    const answer = () => session.send(pdu.response({ message_id: id }))
    const state = kind === '09' ? 'UNDELIV' : 'DELIVRD'
    if (kind === '05') receipt(session, pdu, id, state, kind)
    if (kind === '02') setTimeout(answer, 200)
    else if (kind !== '03') answer()
    if (kind !== '05' && pdu.registered_delivery) receipt(session, pdu, id, state, kind)
    if (kind === '99') phoneAnswers(session, pdu)
  })
})
server.listen(Number(process.argv[2]), '127.0.0.1', () => told({ listening: true }))
