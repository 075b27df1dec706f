/** As much of a DOM as Preact needs to draw a page of ours, for tests of what is drawn: no layout, no selectors but by name. */

type Listener = (event: object) => void;

export class SmallNode {
  parentNode: SmallNode | null = null;
  readonly childNodes: SmallNode[] = [];
  readonly listeners = new Map<string, Set<Listener>>();
  readonly attributes = new Map<string, string>();
  readonly dataset: Record<string, string> = {};
  readonly style: Record<string, unknown> = {};
  readonly namespaceURI = 'http://www.w3.org/1999/xhtml';
  readonly nodeType: number;
  value = '';

  constructor(
    readonly localName: string,
    public data = '',
  ) {
    this.nodeType = localName === '#text' ? 3 : 1;
  }

  get firstChild(): SmallNode | null {
    return this.childNodes[0] ?? null;
  }
  get nextSibling(): SmallNode | null {
    const siblings = this.parentNode?.childNodes ?? [];
    return siblings[siblings.indexOf(this) + 1] ?? null;
  }
  get textContent(): string {
    return this.nodeType === 3 ? this.data : this.childNodes.map((child) => child.textContent).join('');
  }
  contains(other: SmallNode | null): boolean {
    return other !== null && (other === this || this.contains(other.parentNode));
  }
  insertBefore(child: SmallNode, before: SmallNode | null): SmallNode {
    child.remove();
    const at = before === null ? -1 : this.childNodes.indexOf(before);
    this.childNodes.splice(at < 0 ? this.childNodes.length : at, 0, child);
    child.parentNode = this;
    return child;
  }
  appendChild(child: SmallNode): SmallNode {
    return this.insertBefore(child, null);
  }
  removeChild(child: SmallNode): SmallNode {
    this.childNodes.splice(this.childNodes.indexOf(child), 1);
    child.parentNode = null;
    return child;
  }
  remove(): void {
    this.parentNode?.removeChild(this);
  }
  setAttribute(name: string, value: unknown): void {
    this.attributes.set(name, String(value));
  }
  removeAttribute(name: string): void {
    this.attributes.delete(name);
  }
  addEventListener(type: string, listener: Listener): void {
    this.listeners.set(type, (this.listeners.get(type) ?? new Set()).add(listener));
  }
  removeEventListener(type: string, listener: Listener): void {
    this.listeners.get(type)?.delete(listener);
  }
  querySelector(): null {
    return null;
  }
  scrollIntoView(): void {
    this.dispatch('scroll');
  }
  focus(): void {
    this.dispatch('focus');
  }
  blur(): void {
    this.dispatch('blur');
  }
  matches(): boolean {
    return false;
  }
  closest(): null {
    return null;
  }
  showModal(): void {
    this.setAttribute('open', '');
  }
  close(): void {
    this.removeAttribute('open');
    this.dispatch('close');
  }

  /** Tells the listeners of this node, which is all that a test needs; `more`: members of the event. */
  dispatch(type: string, more: object = {}): void {
    const event = { type, target: this, currentTarget: this, preventDefault: () => undefined, ...more };
    for (const listener of this.listeners.get(type) ?? []) listener.call(this, event);
  }

  /** Every node below, itself first. */
  *all(): Generator<SmallNode> {
    yield this;
    for (const child of this.childNodes) yield* child.all();
  }
  /** The first whose text is `text` and that takes clicks. */
  button(text: string): SmallNode {
    for (const node of this.all()) if (node.localName === 'button' && node.textContent === text) return node;
    throw new Error(`There is no button ${text}.`);
  }
  byName(name: string): SmallNode[] {
    return [...this.all()].filter(({ localName }) => localName === name);
  }
}

export const smallDocument = (page: SmallNode, baseURI: string) =>
  Object.assign(new SmallNode('#document'), {
    baseURI,
    visibilityState: 'visible',
    documentElement: new SmallNode('html'),
    body: page,
    getElementById: (id: string) =>
      id === 'page' ? page : ([...page.all()].find((node) => node.attributes.get('id') === id) ?? null),
    createElement: (name: string) => new SmallNode(name),
    createElementNS: (_space: string, name: string) => new SmallNode(name),
    createTextNode: (text: string) => new SmallNode('#text', text),
  });
