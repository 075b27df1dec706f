/** Starts the page: what it listens to, then what it shows. */
import { render } from 'preact';
import { Page } from './panels/page.js';
import { startFeeds } from './state/feeds.js';
import { startSelection } from './state/selection.js';
import { startServer } from './state/server.js';
import { watchVisibility } from './state/visibility.js';

watchVisibility();
startServer();
startSelection();
startFeeds();
const root = document.getElementById('page');
if (root !== null) render(<Page />, root);
