// Reads texts and the units they became, and says what two libraries that we
// did not write make of them. In: a JSON array of {text, tpdus: [hex]}. Out: an
// array of {read, places: [[reference, of, part]], encoding, parts: [units]}.
const pdu = require('node-pdu');
const splitter = require('split-sms');

const answers = JSON.parse(require('fs').readFileSync(0, 'utf8')).map(({ text, tpdus }) => {
  const parsed = tpdus.map((hex) => pdu.parse(hex));
  const whole = parsed[0].data;
  parsed.slice(1).reverse().forEach((p) => whole.append(p)); // in any order
  const split = splitter.split(text, { summary: true });
  return {
    read: whole.getText(),
    places: whole.parts.map(({ header: h }) => (h ? [h.getPointer(), h.getSegments(), h.getCurrent()] : null)),
    encoding: split.characterSet,
    parts: split.parts.map((p) => p.bytes),
    packed: pdu.utils.Helper.encode7Bit(text).result,
  };
});
process.stdout.write(JSON.stringify(answers));
