"""What becomes of data: erased when their people ask, forgotten after a time. It knows every app that keeps some."""
