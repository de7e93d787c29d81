"""A web service that runs in a runtime of its own and is reached at a port of this machine.

    python service.py [PORT]

Ask it with `curl "localhost:8000/stress?force=12&diameter=16"`. Ctrl-C ends it, and nothing of it is left.
"""

import sys

import kedge


@kedge.function(pip=["fastapi", "uvicorn"])
def service(port: int) -> None:
    """Answers with the tensile stress in a round bar.

    Args:
        port: Where it is to be reached.
    """
    import math

    import uvicorn
    from fastapi import FastAPI, HTTPException

    app = FastAPI(title="Stress in a bar")

    @app.get("/stress")
    def stress(force: float, diameter: float) -> dict[str, float]:
        """The stress in MPa by a force in kN and a diameter in mm."""
        if diameter <= 0:
            raise HTTPException(422, f"a bar of {diameter:g} mm is none")
        return {"stress_mpa": round(4e3 * force / (math.pi * diameter**2), 3)}

    # All addresses of its container, of which only the port is published. Where there is no container these
    # are this machine's own: then 127.0.0.1 keeps others out.
    uvicorn.run(app, host="0.0.0.0", port=port, log_level="warning")


if __name__ == "__main__":
    service.serve(port=int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
