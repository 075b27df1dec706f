// Runs the commands of the conformance runner that the parent sends, one after the other, and sends each one's exit code
// and what it printed. A command is a program: it reads its arguments where it is imported, and ends its process.
const [, , runner] = process.argv;
let runs = 0;
let output = '';

for (const stream of [process.stdout, process.stderr])
  stream.write = (text) => {
    output += String(text);
    return true;
  };

process.on('message', (args) => {
  output = '';
  runs += 1;
  process.argv.splice(2, Infinity, ...args);
  let isOver = false;
  const end = (code) => {
    // What it does after its end has nothing more to tell.
    if (!isOver) process.send({ code, output });
    isOver = true;
  };
  process.exit = (code = 0) => end(code);
  import(`${runner}?${runs}`).then(
    // `list` has printed everything once it is imported, and lets its process end by itself.
    () => args[0] === 'list' && end(0),
    (error) => {
      output += String(error);
      end(1);
    },
  );
});
