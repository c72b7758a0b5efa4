/// The page of a report without its style, data and scripts, which stand where their names are in double braces.
enum ReportMarkup {
  static let text = #"""
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta http-equiv="Content-Security-Policy"
      content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
    <title>{{title}}</title>
    <style>
    {{style}}
    </style>
    </head>
    <body>
    <header>
      <div>
        <p class="kicker">Hypha run report</p>
        <h1 id="name"></h1>
        <p id="when" class="muted"></p>
      </div>
      <button id="theme" type="button">Theme: as the system</button>
    </header>
    <main>
      <noscript><p>This page draws its charts with a script that it carries itself. Allow scripts for it.</p></noscript>
      <ul id="figures" class="figures"></ul>

      <section aria-labelledby="h-graph">
        <h2 id="h-graph">How the network evolved</h2>
        <p id="graph-lead" class="lead"></p>
        <div class="stage">
          <div id="canvas" class="canvas"><svg id="graph" role="img" aria-labelledby="graph-title"></svg></div>
          <aside id="moment" class="panel" aria-label="The moment that is shown"></aside>
          <div class="scrub">
            <button id="play" type="button">Play</button>
            <div class="track">
              <svg id="pulse" aria-hidden="true"></svg>
              <input id="slider" type="range" min="0" step="1" aria-label="Moment of the run">
            </div>
            <output id="clock" for="slider"></output>
          </div>
        </div>
        <ul id="legend" class="legend"></ul>
      </section>

      <section aria-labelledby="h-time">
        <h2 id="h-time">The run, channel by channel</h2>
        <p id="reading" class="lead" aria-live="polite"></p>
        <div id="lanes" class="panel"></div>
        <div id="channels"></div>
      </section>

      <section aria-labelledby="h-latency">
        <h2 id="h-latency">Latencies</h2>
        <p class="lead">From an event’s statement until its own node’s log had it (commit), until another node’s log had it
          (travel, by the nodes’ clocks), until an addressee had answered an alert (answer), and until the handler of a realtime
          event was called (handler), as the nodes have counted it.</p>
        <div id="latencies" class="scroll"></div>
        <div id="heat"></div>
      </section>

      <section aria-labelledby="h-notes">
        <h2 id="h-notes">Decisions, alerts and failures</h2>
        <div id="notes"></div>
      </section>

      <section aria-labelledby="h-losses">
        <h2 id="h-losses">Losses</h2>
        <div id="losses"></div>
      </section>

      <section aria-labelledby="h-traffic">
        <h2 id="h-traffic">Who sends what to whom</h2>
        <div id="traffic" class="columns"></div>
      </section>

      <section aria-labelledby="h-origin">
        <h2 id="h-origin">Where this comes from</h2>
        <div id="origin"></div>
      </section>
    </main>
    <script type="application/json" id="data">{{data}}</script>
    <script>
    {{script}}
    </script>
    </body>
    </html>
    """#
}
