"""Training, synthesis and evaluation of E(3)-Pose models; needs neither Slicer nor a GUI."""
