// Follows what happens, so that the page shows it without being loaded again.

const KINDS = ["report.received", "photo.joined", "case.moved", "redraw.in_force"];
// several events are drawn together. Unit: ms
const GATHER_MS = 1500;
// after the server has forgotten what this page missed, or refused. Unit: ms
const AGAIN_MS = 30000;

/** Call `onChange(kinds)` with the set of kinds that happened, gathered; `onLive(isLive)` when following begins or breaks off. */
export function followEvents(api, { onChange, onLive }) {
  const happened = new Set();
  let timer = null;

  const tell = (kind) => {
    happened.add(kind);
    timer ??= setTimeout(() => {
      timer = null;
      const kinds = new Set(happened);
      happened.clear();
      onChange(kinds);
    }, GATHER_MS);
  };

  const open = () => {
    // a break is taken up by the browser itself, with the id of the last event
    const source = new EventSource(`${api}/stream?kinds=${KINDS.join(",")}`);
    source.addEventListener("open", () => onLive(true));
    for (const kind of KINDS) source.addEventListener(kind, () => tell(kind));
    source.addEventListener("error", () => {
      onLive(false);
      if (source.readyState !== EventSource.CLOSED) return;
      // refused, such as when what was missed is kept no more: everything is drawn anew, then followed from now on
      setTimeout(() => {
        KINDS.forEach(tell);
        open();
      }, AGAIN_MS);
    });
    return source;
  };
  return open();
}
